#!/bin/bash
# In the guest (kerberos.py): mounts with a ticket of the cache in $SHARED, and does what a user does.
#   ticket.sh HOST [renewed OPTIONS] OPTIONS...
host=$1
shift
cp "$SHARED/krb5.conf" /etc/krb5.conf
cp "$SHARED/cache" /tmp/krb5cc_0
grep -q "$host" /etc/hosts || echo "$SERVER $host" >>/etc/hosts
mkdir -p /tickets

mounted() { # OPTIONS
    mount -t cifs "//$host/$SHARE" /tickets -o "port=$PORT,ip=$SERVER,cruid=0,username=ticket,$1" || return
    head -c 3000000 /dev/urandom >/tmp/data && cp /tmp/data /tickets/f && sync && echo 3 >/proc/sys/vm/drop_caches &&
        cmp /tmp/data /tickets/f && mkdir /tickets/d && mv /tickets/f /tickets/d/g && rm -r /tickets/d
    local status=$?
    umount /tickets
    return $status
}

# A ticket of a few seconds, with a file open: the session ends with it, and goes on by the ticket that is there then.
renewed() { # OPTIONS
    hostctl hook >/dev/null && cp "$SHARED/short" /tmp/krb5cc_0 || return
    mount -t cifs "//$host/$SHARE" /tickets -o "port=$PORT,ip=$SERVER,cruid=0,username=ticket,$1" || return
    exec 7>/tickets/open
    echo before >&7 && cp "$SHARED/cache" /tmp/krb5cc_0 && sleep 10 && echo after >&7 && sync /tickets/open &&
        [ "$(cat /tickets/open)" = "$(printf 'before\nafter')" ] && ls /tickets >/dev/null
    local status=$?
    exec 7>&-
    rm /tickets/open
    umount /tickets
    return $status
}

failed=0
if [ "$1" = renewed ]; then
    if renewed "$2" >/tmp/said 2>&1; then
        echo "CASE ok    kernel client with a new ticket"
    else
        echo "CASE FAIL  kernel client with a new ticket: $(tr '\n' ' ' </tmp/said) $(dmesg | grep -i cifs | tail -n 3 | tr '\n' ' ')"
        failed=1
    fi
    shift 2
fi
for options; do
    if mounted "$options" >/tmp/said 2>&1; then
        echo "CASE ok    kernel client $options"
    else
        echo "CASE FAIL  kernel client $options: $(tr '\n' ' ' </tmp/said) $(dmesg | grep -i cifs | tail -n 3 | tr '\n' ' ')"
        failed=1
    fi
done
exit $failed
