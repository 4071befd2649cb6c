#!/usr/bin/env bash
# Makes dist/kiln-linux-<arch>.tar.xz: `kiln` and `kiln-bench` with the Swift standard library inside, and beside them
# in lib/ what Linux distributions do not all have: the OpenCL loader, OpenBLAS and its Fortran run time, zlib, libpng, libjpeg-turbo.
# Then tries it in a root folder that holds nothing else but glibc.
set -euo pipefail
cd "$(dirname "$0")/../.."
arch=$(uname -m)
name=kiln-linux-$arch
limit=$((40 * 1000 * 1000))
scratch=.build/bundle

# The C++ run time is linked in too, so that a vendor's driver loads its own; the linker takes the first that it finds.
mkdir -p "$scratch/static"
clang=$(dirname "$(readlink -f "$(command -v swift)")")/clang
ln -sf "$("$clang" -print-file-name=libstdc++.a)" "$scratch/static/libstdc++.a"

# RPATH, not RUNPATH: it holds for what the opened libraries need in turn (OpenBLAS's Fortran run time) as well.
for product in kiln kiln-bench; do
  swift build -c release --scratch-path "$scratch" --static-swift-stdlib --product $product \
    -Xlinker --disable-new-dtags -Xlinker -rpath -Xlinker "\$ORIGIN/lib" -Xlinker --gc-sections \
    -Xlinker "-L$PWD/$scratch/static" -Xswiftc -Xclang-linker -Xswiftc -static-libgcc
done

rm -rf "dist/$name"
mkdir -p "dist/$name/lib"
for product in kiln kiln-bench; do
  strip --strip-all -o "dist/$name/$product" "$scratch/release/$product"
done
# Resource folders, if a module has one.
find -L "$scratch/release" -maxdepth 1 -name '*.resources' -exec cp -rL {} "dist/$name/" \;

# A library's file, as the run-time linker of this machine finds it.
library() {
  # All lines are read: to leave early would end ldconfig with a broken pipe, and the script with it.
  ldconfig -p | awk -v name="$1" -v arch="$arch" '
    !found && $1 == name && (arch != "x86_64" || /x86-64/) { print $NF; found = 1 }'
}
# What a file needs that is not glibc's.
needs() {
  objdump -p "$1" | awk '$1 == "NEEDED" { print $2 }' |
    grep -vE '^(ld-linux.*|lib(c|m|dl|pthread|rt|util|resolv)\.so\..*)$' || true
}
pending=(libOpenCL.so.1 libopenblas.so.0 libpng16.so.16 libjpeg.so.62)
while IFS= read -r needed; do pending+=("$needed"); done < <(needs "dist/$name/kiln"; needs "dist/$name/kiln-bench")
while [ ${#pending[@]} -gt 0 ]; do
  file=${pending[0]}
  pending=("${pending[@]:1}")
  [ -e "dist/$name/lib/$file" ] && continue
  source=$(library "$file")
  [ -n "$source" ] || {
    echo "bundle: $file is not installed here" >&2
    exit 1
  }
  install -m 755 "$source" "dist/$name/lib/$file"
  strip --strip-unneeded "dist/$name/lib/$file"
  while IFS= read -r needed; do pending+=("$needed"); done < <(needs "dist/$name/lib/$file")
done
cp LICENSE README.md "dist/$name/"
cp Tests/Scripts/bundle-notice.txt "dist/$name/NOTICE.txt"

# The oldest glibc that the files ask for.
glibc=$(find "dist/$name" -type f \( -perm -u+x -o -name '*.so*' \) -exec objdump -T {} + 2>/dev/null |
  grep -oE 'GLIBC_[0-9]+\.[0-9]+' | sort -uV | tail -1)
echo "bundle: needs ${glibc/_/ }"
[ "$(printf '%s\nGLIBC_2.36\n' "$glibc" | sort -V | tail -1)" = GLIBC_2.36 ] || {
  echo "bundle: that is newer than glibc 2.36" >&2
  exit 1
}

archive=dist/$name.tar.xz
# The two tools share much; the dictionary is long enough to find it.
tar -C dist --owner=0 --group=0 --sort=name -cf - "$name" | xz -T1 --lzma2=preset=9e,dict=192MiB >"$archive"
size=$(stat -c %s "$archive")
printf 'bundle: %s, %d.%d MB\n' "$archive" $((size / 1000000)) $((size / 100000 % 10))
[ "$size" -le $limit ] || {
  echo "bundle: more than 40 MB" >&2
  exit 1
}

# A root folder with glibc and the unpacked archive, nothing else.
if [ "$(id -u)" -ne 0 ]; then
  echo "bundle: not root, so not tried in a bare root folder" >&2
  exit 0
fi
root=$(mktemp -d)
trap 'umount -q "$root/proc" || true; rm -rf --one-file-system "$root"' EXIT
mkdir -p "$root/tmp" "$root/dev" "$root/proc"
# Every Linux has /proc, where the run-time linker reads the folder ($ORIGIN) that a program lies in. Where it may not be
# mounted, the linker is told.
mount -t proc proc "$root/proc" 2>/dev/null || export LD_ORIGIN_PATH=/$name
for file in libc.so.6 libm.so.6 libdl.so.2 libpthread.so.0 librt.so.1 libutil.so.1 libresolv.so.2; do
  source=$(library $file)
  mkdir -p "$root$(dirname "$source")"
  cp -L "$source" "$root$source"
done
case $arch in
x86_64) loader=/lib64/ld-linux-x86-64.so.2 ;;
aarch64) loader=/lib/ld-linux-aarch64.so.1 ;;
esac
mkdir -p "$root$(dirname "$loader")"
cp -L "$loader" "$root$loader"
tar -C "$root" -xJf "$archive"
echo "bundle: in a bare root folder:"
chroot "$root" "/$name/kiln" devices
chroot "$root" "/$name/kiln" train digits --device cpu --epochs 2
chroot "$root" "/$name/kiln-bench" --help >/dev/null
if [ -d /etc/OpenCL/vendors ]; then
  echo "bundle: on this machine, with its OpenCL drivers:"
  "$PWD/dist/$name/kiln" devices
fi
