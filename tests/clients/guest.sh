#!/bin/bash
# Runs in the virtual machine (see kernel.py): mounts $SHARE with each given set of options in turn and works on it.
# One line for each: "CASE ok|FAIL OPTIONS: ...". FILES and MB set the size of the work.
files=${FILES:-400} mb=${MB:-24}

# The tree: the guest's own Python library, cut to $files files.
(cd /usr/lib/python3.[0-9]* && find . -type f -size -300k ! -name '*.pyc' | sort | head -n "$files" | tar -cf /tmp/tree.tar -T -)
mkdir -p /tmp/ref && tar -xf /tmp/tree.tar -C /tmp/ref
(cd /tmp/ref && find . -type f -print0 | sort -z | xargs -0 sha256sum) >/tmp/sums
(cd /tmp/ref && find . | sort) >/tmp/names
[ "$(wc -l </tmp/sums)" -gt 10 ] || { echo "CASE FAIL the guest has no tree to work with"; exit 1; }

drop() { sync; echo 3 >/proc/sys/vm/drop_caches; }
step() { "$@" >/tmp/step 2>&1 || { echo "$1: $(tail -n 2 /tmp/step | tr '\n' ' ')"; return 1; }; }
as_asked() { # OPTIONS: dialect and sealing are what the mount has
    local o
    for o in ${1//,/ }; do grep ' /mnt cifs ' /proc/mounts | grep -q "[ ,]$o[, ]" || { echo "no $o"; return 1; }; done
}
untar() { tar -xf /tmp/tree.tar -C "$d"; }
find_all() { (cd "$d" && find . | sort) | diff /tmp/names - ; }
checksums() { (cd "$d" && sha256sum --quiet -c /tmp/sums); }
attributes() { # what a shell user does to a file
    echo some text >"$d/a" && mv "$d/a" "$d/b" && cp "$d/b" "$d/grüße 😀 x" && echo more >>"$d/b" &&
        [ "$(wc -c <"$d/b")" = 15 ] && truncate -s 5 "$d/b" && [ "$(stat -c %s "$d/b")" = 5 ] &&
        touch -d '2001-02-03 04:05:06' "$d/b" && drop && [ "$(stat -c %Y "$d/b")" = "$(date -d '2001-02-03 04:05:06' +%s)" ] &&
        [ "$(cat "$d/grüße 😀 x")" = "some text" ] && ! cat "$d/none" && ! mkdir "$d" && df "$d"
}
# Names that SMB cannot carry: the client maps them to the private range, the server back again.
mapped() { touch "$d/a:b" "$d/what?" "$d/dot." && drop && ls "$d" | grep -qx 'a:b' && ls "$d" | grep -qx 'what?' && ls "$d" | grep -qx 'dot\.'; }
fio_verify() { # NAME ARGS
    fio --name="$1" --directory="$d" --size="${mb}M" --ioengine=psync --thread --fallocate=none \
        --verify=crc32c --verify_fatal=1 --do_verify=1 "${@:2}" && rm -f "$d/$1".*
}
fio_buffered() { fio_verify buffered --rw=write --bs=1M --end_fsync=1; }
fio_direct() { fio_verify direct --rw=randwrite --bs=64k --direct=1; }
fio_small() { fio_verify small --rw=randwrite --bs=4k --size=2M --direct=1; }
remove() { rm -rf "$d" && [ ! -e "$d" ]; }

work() {
    d=/mnt/tree
    mkdir -p /mnt && step mount -t cifs "//$SERVER/$SHARE" /mnt -o "credentials=$CREDS,port=$PORT,$1" || return
    step as_asked "$1" && step mkdir "$d" && step untar && drop && step find_all && step checksums && step attributes && step mapped &&
        step fio_buffered && step fio_direct && step fio_small && step remove
    local bad=$?
    [ -z "$(ls -A /mnt)" ] || { echo "left behind: $(ls -A /mnt | head -3)"; bad=1; }
    step umount /mnt || bad=1
    return $bad
}

failed=0
for options; do
    read -r a _ </proc/uptime
    if said=$(work "$options"); then
        read -r b _ </proc/uptime
        echo "CASE ok    $options  $(echo "$a $b" | awk '{printf "%.1f", $2-$1}') s"
    else
        echo "CASE FAIL  $options: $said"
        failed=1
    fi
done
exit $failed
