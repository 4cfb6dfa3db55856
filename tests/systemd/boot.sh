#!/bin/sh
# A machine of its own for a real systemd: all of `/` under an overlay in memory, and namespaces for mounts, processes,
# control groups, IPC and the host's name. The network is shared. Run by `unshare` in those namespaces; argument: a folder.
set -eu
here=$1

mount --make-rprivate /
mount -t tmpfs -o mode=755 machine "$here"
mkdir "$here/upper" "$here/work" "$here/root"
mount -t overlay -o "lowerdir=/,upperdir=$here/upper,workdir=$here/work" machine "$here/root"
cd "$here/root"

mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 run run
mount -t tmpfs -o mode=1777 tmp tmp
mount -t tmpfs -o mode=755 dev dev
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts dev/pts
mount -t tmpfs -o mode=1777 shm dev/shm
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
while read -r name major minor; do
  mknod -m 666 "dev/$name" c "$major" "$minor"
done <<NODES
null 1 3
zero 1 5
full 1 7
random 1 8
urandom 1 9
tty 5 0
NODES

# Only what a service needs: this is no machine that somebody logs in to, and the host's own timers stay the host's.
for unit in systemd-udevd systemd-udev-trigger systemd-networkd systemd-resolved systemd-timesyncd networking; do
  ln -sf /dev/null "etc/systemd/system/$unit.service"
done
cat >etc/systemd/system/machine.target <<'TARGET'
[Unit]
Requires=sysinit.target
After=sysinit.target
TARGET
# A leakwatch that the host has is none of ours.
rm -rf etc/leakwatch etc/systemd/system/leakwatch.service* var/lib/leakwatch opt/leakwatch usr/local/bin/leakwatch
rm -f etc/machine-id
echo 0123456789abcdef0123456789abcdef >etc/machine-id

mkdir -p old
pivot_root . old
cd /
umount -l /old
mount --make-rshared /
exec env -i container=leakwatch-test PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
  /lib/systemd/systemd --system --unit=machine.target --log-target=journal-or-kmsg --show-status=no </dev/null
