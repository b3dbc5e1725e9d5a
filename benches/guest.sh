#!/bin/sh
# What leases cost, in the virtual machine (leases.py): $SHARED has the programs and benches/, $SCRATCH is a disk.
set -eu
# As many as there is memory for, as on a machine of usual size.
for limit in fs/inotify/max_user_watches fs/fanotify/max_user_marks; do
    [ "$(cat /proc/sys/$limit)" -ge 1048576 ] || echo 1048576 >/proc/sys/$limit
done
for name in smbgate-t1 smbgate-t2; do
    id $name >/dev/null 2>&1 || echo "$name:x:$((3000 + ${name#smbgate-t})):3000::/:/bin/false" >>/etc/passwd
done
mkdir -p /var/tmp
export CARGO_TARGET_DIR="$SHARED/target" ELSEWHERE=50000
exec python3 "$SHARED/benches/run" --built --servers smbgate --only "$ONLY" --dir "$SCRATCH"
