#!/bin/bash
# Runs in the virtual machine (see kernel.py): what a user does all day, on two mounts of one share, /mnt and /mnt2, each a
# client of its own. `host COMMAND` runs in the share's directory on the server. One line for each: "CASE ok|FAIL NAME".
set -o pipefail
export HOME=/root
src=/usr/lib/python3.11
[ -d $src ] || src=$(ls -d /usr/lib/python3.[0-9]* | head -n 1)

host() { hostctl hook "$@"; }
not() { if "$@"; then echo "should fail: $*"; return 1; fi; }
drop() { sync; echo 3 >/proc/sys/vm/drop_caches; }
# The client trusts attributes it has seen for a second; and with a lease, for as long as it has the file open, which is a
# second longer than its user: even a time of the last write that it made up itself (Linux 6.1, as beside smbd).
settle() { sleep 1.1; }

copy_of_a_tree() {
    mkdir /tmp/src; cp -r $src/{json,email} /tmp/src; touch -d 2004-05-06 /tmp/src/json/*
    cp -a /tmp/src all
    settle; drop
    diff -r /tmp/src all
    [ -z "$(rsync -rtni --delete /tmp/src/ all/)" ]
    tar -cf t.tar all; tar -df t.tar; rm -r t.tar all
}
git_clone_and_commit() {
    git config --global user.email a@example.org; git config --global user.name a
    git config --global --add safe.directory '*'
    git init -q /tmp/g; cp -r $src/json /tmp/g
    git -C /tmp/g add .; git -C /tmp/g commit -qm one
    git clone -q /tmp/g g; cd g
    drop
    [ -z "$(git status --porcelain)" ]
    echo more >>json/decoder.py; git mv json/tool.py json/moved.py; git commit -qam two
    git checkout -q -b side HEAD~1; echo x >new; git add new; git commit -qm three
    git merge -q -m four master; git gc -q; drop; git fsck --full
    [ "$(git log --oneline | wc -l)" = 4 ]
    cd ..; rm -rf g
}
sqlite() { # on the mount with nobrl: its way of locking needs that
    sqlite3 /mnt2/t.db "create table t(a,b); begin; with recursive c(x) as (select 1 union all select x+1 from c where x<3000)
        insert into t select x, hex(randomblob(20)) from c; commit; create index i on t(b); update t set b=a where a%3=0; vacuum"
    drop
    [ "$(sqlite3 /mnt2/t.db 'pragma integrity_check; select count(*) from t' | tr '\n' ' ')" = "ok 3000 " ]
    rm /mnt2/t.db
}
replace_and_rename() {
    echo a >a; echo b >b; mv a b; [ "$(cat b)" = a ]; [ ! -e a ]
    mkdir d1 d2; mv -T d1 d2; [ ! -e d1 ]; not mv -T b d2; sed -i s/a/c/ b; [ "$(cat b)" = c ]
    mkdir -p x/y/z; mkdir -p x/y/z; echo f >x/y/z/f; mv x d2/; [ "$(cat d2/x/y/z/f)" = f ]; rm -r d2 b
}
hard_links() {
    echo a >h1; ln h1 h2; drop; [ "$(stat -c %h h1)" = 2 ]; [ h1 -ef h2 ]; not ln h1 h2
    echo b >>h2; drop; [ "$(tr '\n' ' ' <h1)" = "a b " ]; rm h1; settle; [ "$(stat -c %h h2)" = 1 ]; rm h2
}
append_and_truncate() {
    for i in {1..100}; do echo "line $i" >>f; done
    drop
    [ "$(wc -l <f)" = 100 ]; [ "$(tail -n 1 f)" = "line 100" ]
    head -c 100000 /dev/urandom | tee f >/tmp/f
    for size in 5000 200000 70000; do truncate -s $size f /tmp/f; done
    drop
    cmp f /tmp/f; : >f; [ ! -s f ]; rm f
}
holes_and_far_offsets() {
    dd if=/dev/zero of=f bs=1 count=1 seek=1G status=none; drop; [ "$(stat -c %s f)" = 1073741825 ]
    [ "$(host 'du -k tree/f | cut -f 1')" -lt 1000 ]
    echo far | dd of=f bs=1 seek=5G conv=notrunc status=none; drop; [ "$(tail -c 4 f)" = far ]
    [ "$(stat -c %s f)" = 5368709124 ]; rm f
}
modes_times_attributes() {
    echo a >f; chmod 444 f; drop; [ "$(stat -c %A f)" = -r-xr-xr-x ]; not bash -c 'echo b >f'
    settle; drop; chmod 644 f; settle; drop; echo b >f
    touch -d '1975-01-02 03:04:05.123456700' f; drop; [ "$(stat -c %y f)" = '1975-01-02 03:04:05.123456700 +0000' ]
    setfattr -n user.note -v text f; drop; [ "$(getfattr --only-values -n user.note f)" = text ]; setfattr -x user.note f
    not getfattr -n user.note f; rm f
}
names() {
    local all=('grüße' '😀' '日本語 名' "it's" 'a&b;c' $'e\u0301' 'ß' 'ẞ' 'İ' ' lead' 'x[1]' '#%' "$(printf 'x%.0s' {1..255})")
    for n in "${all[@]}"; do echo "$n" >"./$n"; done
    drop
    for n in "${all[@]}"; do [ "$(cat "./$n")" = "$n" ]; rm "./$n"; done
    not touch "$(printf 'x%.0s' {1..256})"
}
names_that_smb_cannot_carry() {
    host 'mkdir tree/odd && cd tree/odd && mkdir "dir:1" "dd." && echo in >"dir:1/f?" &&
        touch "a:b" "s*r" "d\"q" "lt<" "gt>" "p|" "dot." "sp " $'"'"'bad\xff'"'"' $'"'"'ctl\x01'"'"'; chmod -R a+rwX .'
    [ "$(ls odd | wc -l)" = 12 ]
    for f in odd/*; do [ -e "$f" ]; done
    [ "$(cat 'odd/dir:1/f?')" = in ]; mv odd/a:b 'odd/b*a'; host 'test -e "tree/odd/b*a"'; rm -r odd; host '! test -e tree/odd'
}
symlinks() {
    host 'mkdir -p tree/l/d; cd tree/l; echo t >d/t; ln -s d/t file; ln -s d dir; ln -s /etc/passwd out; ln -s ../../../up up
        ln -s nowhere dangling; ln -s loop loop; mkfifo fifo; chmod -R a+rwX .'
    ls -l l
    [ "$(cat l/file)" = t ]; [ "$(cat l/dir/t)" = t ]; [ "$(readlink l/out)" = /etc/passwd ]; [ "$(readlink l/up)" = ../../../up ]
    not cat l/dangling; not cat l/loop; not timeout 5 cat l/fifo; rm -r l; host '! test -e tree/l && test -e /etc/passwd'
}
permissions() { # of the user's account, if the server may become that
    [ "$(host 'id -u')" = 0 ] || return 0
    host 'cd tree; echo s >secret; chmod 600 secret; mkdir -m 700 closed; echo r >readable; mkdir -m 755 fixed'
    not cat secret; not ls closed; [ "$(cat readable)" = r ]; not bash -c 'echo x >readable'; not touch fixed/x
    host 'cd tree; rm -r secret closed readable fixed'
}
changes_on_the_server() {
    echo a >f; host 'cd tree && echo bb >f && echo new >g && mkdir d && chmod 777 d g && touch d/x'; settle
    [ "$(cat f)" = bb ]; [ "$(cat g)" = new ]; [ -e d/x ]
    exec 5>>g; host 'cd tree && rm f && mv g h && mv d/x d/y'; echo 5 >&5; exec 5>&-; settle
    [ "$(ls | tr '\n' ' ')" = 'd h ' ]; [ -e d/y ]; [ "$(tr '\n' ' ' <h)" = 'new 5 ' ]; rm -r d h
}
two_clients() {
    echo 1 >f; exec 5<f; read -r x <&5; echo 2 >>/mnt2/tree/f; read -r y <&5; exec 5<&-; [ "$x$y" = 12 ]
    for i in {1..50}; do echo "$i" >/mnt2/tree/n; [ "$(cat n)" = "$i" ]; done
    mv /mnt2/tree/n m; settle; [ "$(ls /mnt2/tree | tr '\n' ' ')" = 'f m ' ]; rm f m
}
locks_of_two_clients() { # (the second mount has nobrl: one of its own)
    mkdir -p /mnt3; mount -t cifs "//$SERVER/$SHARE" /mnt3 -o "$OPTIONS,nosharesock"
    python3 - <<'P'
import fcntl, os, time
a = open("/mnt/tree/lock", "w+")
b = open("/mnt3/tree/lock", "r+")
fcntl.lockf(a, fcntl.LOCK_EX | fcntl.LOCK_NB, 10, 0)
try:
    fcntl.lockf(b, fcntl.LOCK_EX | fcntl.LOCK_NB, 10, 5)
    raise SystemExit("both got the lock")
except PermissionError:
    pass
fcntl.lockf(b, fcntl.LOCK_EX | fcntl.LOCK_NB, 10, 10)
child = os.fork()
if not child:
    b = open("/mnt3/tree/lock", "r+")
    start = time.monotonic()
    fcntl.lockf(b, fcntl.LOCK_EX, 10, 0)
    os._exit(0 if time.monotonic() - start > 0.3 else 1)
time.sleep(1)
fcntl.lockf(a, fcntl.LOCK_UN, 10, 0)
assert os.waitpid(child, 0)[1] == 0, "it did not wait"
P
    umount /mnt3; rm lock
}
deleted_while_open() {
    echo hello >f; exec 5<f; rm f; read -r x <&5; [ "$x" = hello ]; exec 5<&-; [ ! -e f ]
}
cut_connections() {
    head -c 20000000 /dev/urandom >/tmp/big
    (cp /tmp/big big || true) & sleep 0.3
    hostctl drop || true # (not with every network of the machine)
    wait
    cp /tmp/big big; drop; cmp /tmp/big big; rm big
}
mapped_and_copied() {
    head -c 3000000 /dev/urandom >f
    python3 - <<'P'
import mmap, os
f = open("m", "w+b")
f.truncate(1 << 20)
m = mmap.mmap(f.fileno(), 1 << 20)
m[-5:] = b"world"
m.flush()
m.close()
a, b = os.open("f", os.O_RDONLY), os.open("g", os.O_RDWR | os.O_CREAT)
while os.copy_file_range(a, b, 1 << 20):
    pass
os.fsync(b)
P
    drop
    [ "$(tail -c 5 m)" = world ]; cmp f g; rm f g m
}
many_in_one_directory() {
    host 'mkdir tree/many && cd tree/many && seq 5000 | xargs touch; chmod 777 .'
    [ "$(ls -U many | wc -l)" = 5000 ]; host 'rm -r tree/many'
    mkdir -p $(seq -f 'dirs/%03g' 100); touch $(seq -f 'dirs/f%03g' 200); [ "$(find dirs | wc -l)" = 301 ]
    find dirs -name 'f1*' -delete; [ "$(ls dirs | wc -l)" = 200 ]; rm -r dirs
}

CASES=(copy_of_a_tree git_clone_and_commit sqlite replace_and_rename hard_links append_and_truncate holes_and_far_offsets
    modes_times_attributes names names_that_smb_cannot_carry symlinks permissions changes_on_the_server two_clients
    locks_of_two_clients deleted_while_open mapped_and_copied many_in_one_directory cut_connections)

OPTIONS="credentials=$CREDS,port=$PORT,iocharset=utf8,$1"
mkdir -p /mnt /mnt2
mount -t cifs "//$SERVER/$SHARE" /mnt -o "$OPTIONS" && mount -t cifs "//$SERVER/$SHARE" /mnt2 -o "$OPTIONS,nosharesock,nobrl" || exit 1
mkdir /mnt/tree
failed=0
[ $# = 1 ] || CASES=("${@:2}")
for name in "${CASES[@]}"; do
    cd /mnt/tree || exit 1
    # Once more, if it fails: the client of 6.1 trips over its own cache now and then. The log says so.
    for attempt in 1 2; do
        rm -rf /tmp/src /tmp/g /tmp/big /tmp/f
        cd /mnt/tree || exit 1
        (set -e; "$name"; cd /mnt/tree; [ -z "$(ls -A)" ] || { echo "left behind: $(ls -A)"; exit 1; }) >/tmp/said 2>&1
        status=$?
        [ $status != 0 ] || break
        said=$(tail -n 3 /tmp/said | tr '\n' ' ')
        [ $attempt = 2 ] || echo "again: $name: $said"
        cd /mnt/tree; rm -rf /mnt/tree/* 2>/dev/null || host 'rm -rf tree/*'
    done
    if [ $status = 0 ]; then
        echo "CASE ok    $name"
    else
        echo "CASE FAIL  $name: $said"
        failed=1
    fi
done
cd / && rmdir /mnt/tree && umount /mnt2 /mnt || failed=1
echo "CASES ${#CASES[@]}"
exit $failed
