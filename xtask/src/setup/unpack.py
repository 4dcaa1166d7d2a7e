"""Makes a libtorch folder of the wheels in the folder given: headers and CPU libraries only."""

import glob
import os
import sys
import zipfile

staging = sys.argv[1]
out = os.path.join(staging, "out")
CUDA = ("nvidia/cu13/lib/libcudart.so.13", "nvidia/cu13/lib/libcupti.so.13")  # libtorch_cpu.so names them
KEEP = ("torch/include/", "torch/lib/libtorch_cpu.so", "torch/lib/libc10.so", "torch/lib/libgomp.so.1") + CUDA

for wheel in glob.glob(os.path.join(staging, "*.whl")):
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(out, [name for name in archive.namelist() if name.startswith(KEEP)])
for library in CUDA:
    os.rename(os.path.join(out, library), os.path.join(out, "torch/lib", os.path.basename(library)))
with open(os.path.join(out, "torch/lib/libtorch.so"), "w") as script:
    script.write("INPUT(-ltorch_cpu)\n")  # a linker script: the wheel's own one needs libtorch_cuda.so
