#!/bin/bash
# sysroot.sh ARCH [DIR]: what is needed to build for another kind of machine and to run that here, unpacked into DIR
# (default build-sysroot/ARCH): a cross compiler, the libraries, an emulator. ARCH: i386 (32 bits), s390x (big-endian).
# Debian's packages, downloaded and unpacked: nothing is installed, the system stays as it is.
set -euo pipefail
arch=${1:?sysroot.sh ARCH [DIR]}
dir=${2:-build-sysroot/$arch}
case $arch in
i386) triple=i686-linux-gnu emulator=() ;;
s390x) triple=s390x-linux-gnu emulator=(qemu-user-static) ;;
*)
    echo "sysroot.sh: expected i386 or s390x, found \"$arch\"" >&2
    exit 2
    ;;
esac
[ -e "$dir/ready" ] && exit 0
if [ "$(dpkg --print-architecture 2> /dev/null)" != amd64 ]; then
    echo "sysroot.sh: made for Debian on amd64" >&2
    exit 4
fi
tools=(gcc-12-$triple cpp-12-$triple binutils-$triple libgcc-12-dev-$arch-cross "${emulator[@]}")
libraries=(libc6 libc6-dev libcrypt1 linux-libc-dev libgcc-s1 libgomp1 libjansson4 libjansson-dev libpcre2-8-0 libpcre2-dev
    libpcre2-posix3 libutf8proc2 libutf8proc-dev zlib1g zlib1g-dev libcmocka0 libcmocka-dev)
mkdir -p "$dir/tools" "$dir/root" "$dir/deb" "$dir/lists/partial" "$dir/cache/archives/partial"
dir=$(realpath "$dir")
apt() { # lists and cache of our own, in which the other architecture is known
    apt-get -q -o APT::Architectures::=amd64 -o "APT::Architectures::=$arch" -o "Dir::State::Lists=$dir/lists" \
        -o "Dir::Cache=$dir/cache" -o Acquire::Retries=3 -o APT::Sandbox::User=root "$@" > "$dir/log" 2>&1 < /dev/null || {
        tail -n 5 "$dir/log" >&2
        return 1
    }
}
apt update || apt update || true # a mirror in the middle of its own update; what is missing is said below
(cd "$dir/deb" && apt download "${tools[@]}" "${libraries[@]/%/:$arch}")
for deb in "$dir"/deb/*.deb; do
    case $(dpkg-deb -f "$deb" Architecture)$(basename "$deb") in
    all*-cross_* | amd64*) dpkg-deb -x "$deb" "$dir/tools" ;;
    *) dpkg-deb -x "$deb" "$dir/root" ;;
    esac
done
# Links to /lib are meant for the other machine.
find "$dir/root" -type l -lname '/*' | while read -r link; do ln -sfn "$dir/root$(readlink "$link")" "$link"; done
# The tools find their own libraries, and the compiler the rest of itself.
mkdir -p "$dir/bin"
for name in gcc-12 ar ranlib; do
    {
        echo '#!/bin/sh'
        echo "LD_LIBRARY_PATH='$dir/tools/usr/lib/x86_64-linux-gnu' exec '$dir/tools/usr/bin/$triple-$name' \\"
        [ $name != gcc-12 ] || echo "    '--sysroot=$dir/root' '-B$dir/tools/usr/bin/$triple-' \\"
        echo '    "$@"'
    } > "$dir/bin/${name%-12}"
    chmod +x "$dir/bin/${name%-12}"
done
rm -rf "$dir/deb" "$dir/lists" "$dir/cache" "$dir/log"
touch "$dir/ready"
