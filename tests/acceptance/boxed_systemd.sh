#!/usr/bin/env bash
# Boots a real systemd in a box, until it is killed: PID 1 of its own namespaces on an overlay of / that
# is thrown away. Network is the machine's; nothing else of the machine can be changed from within.
#
#   boxed_systemd.sh STATE LOWER CHECKOUT
#
# STATE is an empty folder on a file system that an overlay may write to, LOWER the folders of the
# overlay below, CHECKOUT a folder that is seen as /usr/src/artifact-sync. Needs root.
set -euo pipefail
state=$1 lower=$2 checkout=$3

case ${4-} in
  "") # the machine's namespaces, but for the mounts: a cgroup of the box's own
    mkdir -p "$state/cgroup"
    mount -t cgroup2 none "$state/cgroup"
    ours=$(sed -n 's/^0:://p' /proc/self/cgroup)
    box=$state/cgroup${ours%/}/boxed-$$
    mkdir "$box"
    echo "$box" >"$state/box"
    echo 0 >"$box/cgroup.procs"
    exec unshare --fork --kill-child --pid --mount --uts --ipc --cgroup "$0" "$@" inside
    ;;
esac

root=$state/root
mkdir -p "$root" "$state/upper" "$state/work"
mount --make-rprivate /
mount -t overlay overlay -o "lowerdir=$lower,upperdir=$state/upper,workdir=$state/work" "$root"
mount -t proc proc "$root/proc"
mount --bind "$root/proc/sys" "$root/proc/sys"
mount -o remount,bind,ro "$root/proc/sys" # systemd sets no variable of the kernel's where it cannot
mount --bind /sys "$root/sys"
mount -o remount,bind,ro "$root/sys" # and starts no udev
mount -t cgroup2 none "$root/sys/fs/cgroup"
for place in run tmp dev; do mount -t tmpfs -o mode=0755 tmpfs "$root/$place"; done
chmod 1777 "$root/tmp"
for node in null zero full random urandom tty; do
  : >"$root/dev/$node"
  mount --bind "/dev/$node" "$root/dev/$node"
done
mkdir -m 1777 "$root/dev/shm" "$root/dev/pts"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
for link in 'fd ' 'stdin /0' 'stdout /1' 'stderr /2'; do
  ln -s "/proc/self/fd${link#* }" "$root/dev/${link% *}"
done

mkdir -p "$root/usr/src/artifact-sync" "$root/run/systemd"
mount --bind "$checkout" "$root/usr/src/artifact-sync"
# Where these are mounts of their own (containers), the overlay does not show them.
for file in /etc/resolv.conf /etc/hosts; do
  rm -f "$root$file"
  cat "$file" >"$root$file" 2>/dev/null || true
done
rm -f "$root/etc/machine-id"
echo 0123456789abcdef0123456789abcdef >"$root/etc/machine-id"
if [ ! -e "$state/again" ]; then # what the machine's owner has enabled does not start here
  rm -rf "$root/etc/systemd/system"
  : >"$root/etc/fstab"
  mkdir -p "$root/etc/systemd/system" "$root/etc/systemd/journald.conf.d"
  printf '[Journal]\nStorage=volatile\nReadKMsg=no\nAudit=\nRateLimitIntervalSec=0\n' \
    >"$root/etc/systemd/journald.conf.d/box.conf"
  for unit in systemd-journald-audit.socket systemd-logind.service getty.target systemd-udevd.service \
    systemd-update-utmp.service e2scrub_reap.service systemd-modules-load.service \
    systemd-remount-fs.service; do
    ln -s /dev/null "$root/etc/systemd/system/$unit"
  done
fi
mount --make-rshared "$root" # a service's credentials are set up by propagation
exec chroot "$root" /usr/bin/env -i container=boxed \
  PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --system --unit=multi-user.target --show-status=0
