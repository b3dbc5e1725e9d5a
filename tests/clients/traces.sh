#!/bin/bash
# Runs in the virtual machine (see kernel.py): what programs do to files when they save, on three mounts of one share, /mnt,
# /mnt2 and /mnt3, each a client of its own. In the end both sides have the same files. One line for each:
# "CASE ok|FAIL|skip NAME".
set -o pipefail
export HOME=/root

host() { hostctl hook "$@"; }
drop() { sync; echo 3 >/proc/sys/vm/drop_caches; }
same_on_both_sides() { # DIRECTORY: as the other clients and the server's disk have it
    (cd "$1" && find . -type f ! -name .sums -print0 | sort -z | xargs -0 sha256sum >.sums && [ -s .sums ])
    drop
    (cd "/mnt2/tree/$1" && sha256sum --quiet -c .sums)
    host "cd 'tree/$1' && sha256sum --quiet -c .sums"
    [ "$(host "find 'tree/$1' -type f | wc -l")" = $(($(wc -l <"$1/.sums") + 1)) ]
}

word_saves_a_document() { # a new file takes the name, the old one becomes the backup and goes; somebody reads it meanwhile
    mkdir docs
    head -c 200000 /dev/urandom >docs/Report.docx
    for n in 1 2 3 4; do
        old=$(sha256sum <docs/Report.docx)
        exec 5<"/mnt2/tree/docs/Report.docx"
        echo me >'docs/~$Report.docx'
        head -c $((200000 + n * 1000)) /dev/urandom >"docs/~WRD000$n.tmp"; sync "docs/~WRD000$n.tmp"
        new=$(sha256sum <"docs/~WRD000$n.tmp")
        mv -T docs/Report.docx "docs/~WRL000$n.tmp"
        mv -T "docs/~WRD000$n.tmp" docs/Report.docx
        rm "docs/~WRL000$n.tmp" 'docs/~$Report.docx'
        [ "$(sha256sum <&5)" = "$old" ]; exec 5<&-
        [ "$(sha256sum <docs/Report.docx)" = "$new" ]
        [ "$(host 'sha256sum <tree/docs/Report.docx')" = "$new" ]
        # As other programs do: over the old one, in one step.
        echo "autosaved $n" >docs/auto.tmp; mv -T docs/auto.tmp docs/Report.asd
        [ "$(cat /mnt2/tree/docs/Report.asd)" = "autosaved $n" ]
    done
    [ "$(ls -A docs | tr '\n' ' ')" = 'Report.asd Report.docx ' ]
    same_on_both_sides docs
    rm -r docs
}
sqlite_of_two_clients_and_a_local_program() {
    local options="$OPTIONS,nosharesock,cache=none,actimeo=0" here=../coherent/t.db
    mkdir -p /mnt4 /mnt5
    mount -t cifs "//$SERVER/coherent" /mnt4 -o "$options"; mount -t cifs "//$SERVER/coherent" /mnt5 -o "$options"
    # The server's side finds the program where the share has it.
    cp "$SCRIPTS/sqlite.py" program.py
    host "python3 tree/program.py $here make && chmod 777 ../coherent && chmod 666 $here"
    host "python3 tree/program.py $here write local until tree/stop >tree/count 2>tree/problem &"
    "$SCRIPTS/sqlite.py" /mnt4/t.db write one 25 --smb & one=$!
    "$SCRIPTS/sqlite.py" /mnt5/t.db write two 25 --smb & two=$!
    wait $one; wait $two
    host 'touch tree/stop'
    for _ in {1..100}; do [ -n "$(host 'cat tree/count tree/problem')" ] && break; sleep 0.3; done
    local count; count=$(host 'cat tree/problem tree/count'); echo "local: $count"
    host "python3 tree/program.py $here check one=25 two=25 local=$count"
    "$SCRIPTS/sqlite.py" /mnt4/t.db check one=25 two=25 "local=$count"
    [ "$(sha256sum </mnt4/t.db)" = "$(host "sha256sum <$here")" ]
    rm /mnt4/t.db program.py; [ -z "$(ls -A /mnt5)" ]; umount /mnt4 /mnt5; host 'rm tree/stop tree/count tree/problem'
}
git_clones_checks_out_and_packs() {
    git config --global user.email a@example.org; git config --global user.name a
    git config --global --add safe.directory '*'
    local src; src=$(ls -d /usr/lib/python3.[0-9]*/json | head -n 1)
    mkdir g; git init -q --bare g/origin
    git clone -q g/origin g/work 2>/dev/null; cp "$src"/*.py g/work
    (
        cd g/work
        git add .; git commit -qm one; git push -q origin HEAD
        git checkout -q -b side; for n in {1..8}; do echo "$n" >>tool.py; git commit -qam "side $n"; done
        git checkout -q -; git mv tool.py moved.py; git commit -qam two; git merge -q -m three side; git push -q origin HEAD side
        git gc -q; git fsck --full; [ -z "$(git status --porcelain)" ]
    )
    git clone -q /mnt2/tree/g/origin g/again; git -C g/again checkout -q side; git -C g/again fsck --full
    diff -r --exclude=.git <(git -C g/work show side:tool.py) g/again/tool.py
    git -C g/origin gc -q
    same_on_both_sides g
    [ "$(git -C /mnt2/tree/g/origin rev-parse side)" = "$(git -C g/again rev-parse HEAD)" ]
    chmod -R u+w g; rm -r g
}
npm_installs_what_is_locked() { # with the host's node, which kernel.py puts in /shared
    local npm=(/shared/node /shared/npm/bin/npm-cli.js --offline --no-audit --no-fund --loglevel=error --cache /tmp/npm-cache)
    mkdir -p /tmp/n/packages /tmp/n/app
    for p in one two three; do
        local d=/tmp/n/$p/package; mkdir -p $d/lib/deep/deeper $d/bin
        for n in {1..25}; do echo "module.exports = '$p $n'" >"$d/lib/deep/deeper/$n.js"; done
        echo "#!/usr/bin/env node" >$d/bin/run.js
        echo "module.exports = require('./lib/deep/deeper/7.js')" >$d/index.js
        echo "{\"name\": \"$p\", \"version\": \"1.2.3\", \"bin\": {\"run-$p\": \"bin/run.js\"}}" >$d/package.json
        tar -czf "/tmp/n/packages/$p-1.2.3.tgz" -C /tmp/n/$p package
    done
    echo '{"name": "app", "version": "1.0.0", "dependencies": {"one": "file:../packages/one-1.2.3.tgz",
        "two": "file:../packages/two-1.2.3.tgz", "three": "file:../packages/three-1.2.3.tgz"}}' >/tmp/n/app/package.json
    (cd /tmp/n/app; "${npm[@]}" install --package-lock-only)
    mkdir npm; cp -r /tmp/n/packages npm; mkdir npm/app; cp /tmp/n/app/package*.json npm/app
    for _ in 1 2; do # the second time it has to take away what the first has left
        (cd npm/app; "${npm[@]}" ci)
        drop
        [ "$(cd npm/app; /shared/node -p 'require("one") + require("three")')" = 'one 7three 7' ]
        for p in one two three; do diff -r /tmp/n/$p/package npm/app/node_modules/$p; done
    done
    [ "$(readlink npm/app/node_modules/.bin/run-two)" = ../two/bin/run.js ]
    # The links are files of their own kind on the disk, which only this mount takes for links.
    rm npm/app/node_modules/.bin/*
    same_on_both_sides npm
    rm -r npm
}

CASES=(word_saves_a_document sqlite_of_two_clients_and_a_local_program git_clones_checks_out_and_packs npm_installs_what_is_locked)

OPTIONS="credentials=$CREDS,port=$PORT,iocharset=utf8,$1"
mkdir -p /mnt /mnt2
mount -t cifs "//$SERVER/$SHARE" /mnt -o "$OPTIONS,mfsymlinks" && mount -t cifs "//$SERVER/$SHARE" /mnt2 -o "$OPTIONS,nosharesock" || exit 1
mkdir /mnt/tree
failed=0
[ $# = 1 ] || CASES=("${@:2}")
for name in "${CASES[@]}"; do
    cd /mnt/tree || exit 1
    if [[ $name = npm_* && ! -x /shared/node ]]; then
        echo "CASE skip  $name: no npm on the host"
        continue
    fi
    read -r begun _ </proc/uptime
    (set -e; "$name"; cd /mnt/tree; [ -z "$(ls -A)" ] || { echo "left behind: $(ls -A)"; exit 1; }) >/tmp/said 2>&1
    if [ $? = 0 ]; then
        read -r ended _ </proc/uptime
        echo "CASE ok    $name  $(echo "$begun $ended" | awk '{printf "%.0f", $2-$1}') s"
    else
        echo "CASE FAIL  $name: $(tail -n 3 /tmp/said | tr '\n' ' ')"
        umount -l /mnt4 /mnt5 2>/dev/null
        host 'touch tree/stop; sleep 1; rm -rf tree/* tree/.[!.]* ../coherent/*'
        failed=1
    fi
done
cd / && rmdir /mnt/tree && umount /mnt2 /mnt || failed=1
echo "CASES ${#CASES[@]}"
exit $failed
