#!/bin/sh
# Builds the fuzzer of the receive path, OUT/rtps, and OUT/seeds of the recorded datagrams.
#
#   fuzz/rtps/build.sh OUT
#
# Needs clang and cmake. Cyclone's sources are those of the crate that the house builds.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=$1
command -v clang >/dev/null || { echo "clang is missing: apt-get install clang" >&2; exit 1; }
cyclone=$(cd "$here/../.." && cargo metadata --format-version 1 | python3 -c '
import json, pathlib, sys
packages = json.load(sys.stdin)["packages"]
source = next(package for package in packages if package["name"] == "cyclonedds-src")
print(pathlib.Path(source["manifest_path"]).parent / "src/cyclonedds")')
mkdir -p "$out/cyclone" "$out/seeds"
flags="-O1 -g -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address"
cmake -S "$cyclone" -B "$out/cyclone" -DCMAKE_C_COMPILER=clang -DCMAKE_C_FLAGS="$flags" -DBUILD_SHARED_LIBS=OFF \
    -DBUILD_TESTING=OFF -DBUILD_IDLC=OFF -DBUILD_DDSPERF=OFF -DBUILD_EXAMPLES=OFF -DENABLE_SECURITY=OFF \
    -DENABLE_SSL=OFF -DENABLE_ICEORYX=OFF >"$out/log" 2>&1 &&
    cmake --build "$out/cyclone" --target ddsc --parallel 2 >>"$out/log" 2>&1 || { tail -n 30 "$out/log" >&2; exit 1; }
core=$cyclone/src/core
clang -O1 -g -DNDEBUG -fsanitize=fuzzer,address "$here/rtps.c" -o "$out/rtps" \
    -I "$core/ddsc/include" -I "$core/ddsc/src" -I "$core/ddsi/include" -I "$core/ddsi/src" -I "$core/cdr/include" \
    -I "$cyclone/src/ddsrt/include" -I "$out/cyclone/src/core/include" -I "$out/cyclone/src/ddsrt/include" \
    -I "$out/cyclone/src/core/ddsc/include" -I "$out/cyclone/src/core" "$out/cyclone/lib/libddsc.a" -lpthread -ldl -lrt -lm
# Each recorded datagram alone, and all of one implementation in their order.
python3 - "$here/../../crates/dds/tests/corpus" "$out/seeds" <<'PYTHON'
import pathlib, sys
for file in pathlib.Path(sys.argv[1]).glob("*.hex"):
    datagrams = [bytes.fromhex(line) for line in file.read_text().split()]
    framed = [len(datagram).to_bytes(2, "little") + datagram for datagram in datagrams]
    for number, datagram in enumerate(framed):
        pathlib.Path(sys.argv[2], f"{file.stem}-{number}").write_bytes(datagram)
    pathlib.Path(sys.argv[2], f"{file.stem}-all").write_bytes(b"".join(framed))
PYTHON
