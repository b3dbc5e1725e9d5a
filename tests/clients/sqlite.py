#!/usr/bin/env python3
"""One of several programs that write to one SQLite database, in its rollback-journal mode.

    sqlite.py DATABASE make
    sqlite.py DATABASE write WHO COUNT [--smb]     COUNT transactions
    sqlite.py DATABASE write WHO until FILE        until FILE is there; prints how many
    sqlite.py DATABASE check WHO=COUNT...          every transaction is there, once

--smb: takes its locks as SQLite does on Windows. On Unix it raises its shared lock to an exclusive one in place, and lowers
it in place; SMB's locks stack instead, so that one has to be given up for the other.
"""

import ctypes
import errno
import fcntl
import os
import sqlite3
import struct
import sys
import time

SHARED_FIRST, SHARED_SIZE = 0x40000002, 510
FLOCK = struct.Struct("@hhqqi")
FCNTL = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_void_p, use_errno=True)


class Vfs(ctypes.Structure):
    """sqlite3_vfs, version 3."""
    _fields_ = [("version", ctypes.c_int), ("file_size", ctypes.c_int), ("max_path", ctypes.c_int), ("next", ctypes.c_void_p),
                ("name", ctypes.c_char_p), ("data", ctypes.c_void_p), ("methods", ctypes.c_void_p * 13),
                ("set_system_call", ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p))]


def take_locks_as_on_windows():
    """Puts a function of ours in the place of SQLite's fcntl."""
    real = ctypes.CDLL(None, use_errno=True).fcntl
    real.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_void_p]

    @FCNTL
    def instead(fd, command, argument):
        if command == fcntl.F_SETLK:
            kind, whence, start, length, pid = FLOCK.unpack(ctypes.string_at(argument, FLOCK.size))
            if (start, length) == (SHARED_FIRST, SHARED_SIZE) and kind != fcntl.F_UNLCK:
                def lock(kind):
                    return real(fd, command, ctypes.create_string_buffer(FLOCK.pack(kind, whence, start, length, pid)))
                lock(fcntl.F_UNLCK)
                if lock(kind) == 0:
                    return 0
                # Nobody can have it exclusively meanwhile: he would need the pending byte, which is ours.
                if kind == fcntl.F_WRLCK:
                    lock(fcntl.F_RDLCK)
                ctypes.set_errno(errno.EAGAIN)
                return -1
        return real(fd, command, argument)

    find = ctypes.CDLL("libsqlite3.so.0").sqlite3_vfs_find
    find.restype = ctypes.POINTER(Vfs)
    vfs = find(None)
    assert vfs.contents.version >= 3 and vfs.contents.name == b"unix", "another SQLite than this knows"
    assert vfs.contents.set_system_call(ctypes.cast(vfs, ctypes.c_void_p), b"fcntl", ctypes.cast(instead, ctypes.c_void_p)) == 0
    return instead  # to be kept as long as SQLite may call it


def write(database, who, more):
    done = 0
    while more(done):
        database.execute("begin immediate")
        (count,) = database.execute("select n from total").fetchone()
        database.execute("insert into entry values (?, ?, ?, randomblob(300))", (who, done, count))
        database.execute("update total set n = ?", (count + 1,))
        database.execute("commit")
        done += 1
        time.sleep(0.02)
    return done


def check(database, expected):
    assert database.execute("pragma integrity_check").fetchall() == [("ok",)]
    found = dict(database.execute("select who, count(*) from entry group by who"))
    assert found == expected, f"{found}, not {expected}"
    total = sum(expected.values())
    assert database.execute("select n from total").fetchone() == (total,)
    # Each saw what all before it had written.
    assert database.execute("select count(distinct at), min(at), max(at) from entry").fetchone() == (total, 0, total - 1)
    assert all(n > 1 for n in expected.values()), "they did not write at once"


def main():
    path, command, *args = sys.argv[1:]
    kept = take_locks_as_on_windows() if "--smb" in args else None
    database = sqlite3.connect(path, timeout=120, isolation_level=None)
    if command == "make":
        database.execute("create table entry (who text, number integer, at integer, filling blob)")
        database.execute("create table total (n integer)")
        database.execute("insert into total values (0)")
    elif command == "check":
        check(database, {who: int(count) for who, _, count in (arg.partition("=") for arg in args)})
    elif args[1] == "until":
        print(write(database, args[0], lambda _: not os.path.exists(args[2])))
    else:
        write(database, args[0], lambda done: done < int(args[1]))
    database.close()
    del kept


if __name__ == "__main__":
    main()
