"""Makes a libtorch folder of the wheels in the folder given: headers and CPU libraries, and in `python` what of Python's
torch runs without CUDA."""

import glob
import os
import sys
import zipfile

staging = sys.argv[1]
out = os.path.join(staging, "out")
home = os.path.join(out, "torch")
CUDA = ("nvidia/cu13/lib/libcudart.so.13", "nvidia/cu13/lib/libcupti.so.13")  # libtorch_cpu.so names them
SHARED = ("libtorch_cpu.so", "libc10.so", "libgomp.so.1")
KEEP = ("torch/include/", *(f"torch/lib/{name}" for name in SHARED), *CUDA)
# Python's own; what it shares with libtorch, it finds there.
PYTHON = tuple(
    f"torch/{name}"
    for name in (
        "lib/libtorch_python.so", "lib/libc10_cuda.so", "lib/libshm.so", "lib/libtorch_global_deps.so",
        "bin/torch_shm_manager",
    )
)
NOT_PYTHON = ("torch/include/", "torch/lib/", "torch/share/", "torch/bin/", "torch/test/")


def is_pythons(name):
    return name.startswith(PYTHON + ("torchgen/",)) or (name.startswith("torch/") and not name.startswith(NOT_PYTHON))


for wheel in glob.glob(os.path.join(staging, "*.whl")):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        archive.extractall(out, [name for name in names if name.startswith(KEEP)])
        archive.extractall(os.path.join(home, "python"), [name for name in names if is_pythons(name)])
for library in CUDA:
    os.rename(os.path.join(out, library), os.path.join(home, "lib", os.path.basename(library)))
for name in (*SHARED, *map(os.path.basename, CUDA)):
    os.symlink(os.path.join("../../../lib", name), os.path.join(home, "python/torch/lib", name))
os.chmod(os.path.join(home, "python/torch/bin/torch_shm_manager"), 0o755)
with open(os.path.join(home, "lib/libtorch.so"), "w") as script:
    script.write("INPUT(-ltorch_cpu)\n")  # a linker script: the wheel's own one needs libtorch_cuda.so
