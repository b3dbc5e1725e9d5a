#!/usr/bin/env python3
"""Two kernel clients and a program on the server's machine write to one tree at once (see kernel.py): no stale read, no
lost write, no name that is not seen.

    writers.py guest            in the virtual machine: mounts for two users, plays every game, one line "CASE ok|FAIL NAME" each
    writers.py play ROLE GAME DIRECTORY...  one of the three players

The third player is started on the server through `hostctl hook`: on the shared path, in the share's local view, or where the
server only sees what he does when it looks (the directories that a FUSE mount shows: several, if it lays them over each
other). What he does is seen within the bound that `smbgate status` states then.
"""

import fcntl
import itertools
import json
import os
import random
import shlex
import subprocess
import sys
import time

ROLES = 3
FILES, TURNS, LOCKS, NAMES = 3, 40, 25, 24
# From a change to the next player's having seen it, in seconds: more than the 35 that a break may go unanswered.
PATIENCE = 45
WIDTH, NOISE = 24, 3
# The client believes attributes that it has seen for a second (actimeo), where no lease says more; and what it did not hear of
# a listing it is told once more after a second (see OPTIONS).
TRUSTED = 2
# Where this player works: one directory, or those that the others have as one.
places = []
# Of this machine: one after the other.
runs = itertools.count()


def at(path):
    """Where it is; if it is nowhere yet, where it will be."""
    anywhere = [os.path.join(place, path) for place in places]
    return next((there for there in anywhere[:-1] if os.path.lexists(there)), anywhere[-1])


def listing(path):
    return set().union(*(os.listdir(os.path.join(place, path)) for place in places))


def until(what, name):
    deadline = time.monotonic() + PATIENCE
    while not what():
        if time.monotonic() > deadline:
            raise AssertionError(f"{name}: not seen within {PATIENCE} s")
        time.sleep(0.002)


def read(path):
    f = os.open(at(path), os.O_RDONLY)
    try:
        return os.pread(f, 100, 0).decode()
    finally:
        os.close(f)


def write(path, text):
    f = os.open(at(path), os.O_RDWR)
    try:
        os.pwrite(f, text.ljust(WIDTH).encode(), 0)
        os.fsync(f)
    finally:
        os.close(f)


def turns(role):
    """One after the other adds to counters; whose turn it is stands in the file as well."""
    for n in range(TURNS * FILES):
        path, turn = f"turn{n % FILES}", n // FILES * ROLES + role

        def mine():
            now, value = map(int, read(path).split())
            # A write that was lost, or a read of what was there before.
            assert now == value and now <= turn, f"{path}: turn {now} has {value}, expected no more than {turn}"
            return now == turn
        until(mine, f"{path}: turn {turn}")
        write(path, f"{turn + 1} {turn + 1}")


def locks(role):
    """All at once: who has the lock reads, adds one, and appends to a log. The end tells whether anything was lost."""
    dice = random.Random(role)
    for n in range(LOCKS):
        for path in dice.sample([f"count{n}" for n in range(FILES)], FILES):
            f = os.open(at(path), os.O_RDWR)
            fcntl.lockf(f, fcntl.LOCK_EX)
            value = int(os.pread(f, 100, 0))
            os.pwrite(f, str(value + 1).ljust(WIDTH).encode(), 0)
            log = os.open(at(path + ".log"), os.O_WRONLY | os.O_APPEND)
            os.write(log, f"{role} {n} {value}\n".encode())
            os.fsync(log)
            os.close(log)
            os.fsync(f)
            fcntl.lockf(f, fcntl.LOCK_UN)
            os.close(f)


def listed(step):
    """The names there are after so many steps."""
    names = set()
    for n in range(step):
        kind, base = n % 4, n // 4
        names ^= [{f"f{base}"}, {f"f{base}", f"g{base}"}, {f"d{base}"}, {f"g{base}"}][kind]
    return names


class Looks:
    """How soon the others have seen what this player did, where the server has to look for it."""

    def __init__(self):
        self.slowest, self.bound, self.since = 0, 0, None

    def did(self):
        self.since = time.monotonic()

    def seen(self, busy, name):
        """They have, and have told so; `busy`: what that takes them at most."""
        if "STATUS" not in os.environ or self.since is None:
            return
        took, self.since = time.monotonic() - self.since, None
        bound = stated()
        self.slowest, self.bound = max(self.slowest, took), max(self.bound, bound)
        busy += TRUSTED
        assert took <= bound + busy, f"{name}: seen after {took:.2f} s; stated: {bound} s, and the others may take {busy:.2f} s"


def stated():
    """Seconds: what the server states of the share that this player changes behind its back."""
    share, *command = json.loads(os.environ["STATUS"])
    status = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=60).stdout)
    coherence = next(there["coherence"] for there in status["shares"] if there["name"] == share)
    assert coherence.startswith("poll <= "), coherence
    return float(coherence.split()[2])


class Names:
    """What the players of `names` tell each other stands in a file of each: the steps that he has seen, and how long one thing
    that he does took at most."""

    def __init__(self, role):
        self.role, self.others = role, [other for other in range(ROLES) if other != role]
        self.took, self.busy, self.slowest, self.looks = 0.0, 0.0, 0.0, Looks()

    def timed(self, what):
        began = time.monotonic()
        result = what()
        self.took = max(self.took, time.monotonic() - began)
        return result

    def act(self, n):
        # So that some of it comes while others open the directory anew.
        for _ in range(NOISE):
            noise = at(f"names/noise{self.role}")
            os.close(os.open(noise, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
            os.unlink(noise)
        base = n // 4
        old = at(f"names/f{base}")
        [lambda: os.close(os.open(old, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)),
         lambda: os.rename(old, os.path.join(os.path.dirname(old), f"g{base}")),
         lambda: os.mkdir(at(f"names/d{base}")),
         lambda: os.unlink(at(f"names/g{base}"))][n % 4]()

    def tell(self, n):
        write(f"seen{self.role}", f"{n + 1} {self.took:.3f}")

    def told(self, n):
        heard = [read(f"seen{other}").split() for other in self.others]
        # One looks, then writes; the other may be in his way.
        self.busy = 2 * sum(float(took) for _, took in heard)
        return all(int(seen) > n for seen, _ in heard)

    def step(self, n):
        if n % ROLES == self.role:
            self.timed(lambda: self.act(n))
            self.looks.did()
        began = time.monotonic()
        try:
            until(lambda: self.timed(lambda: listing("names")) == listed(n + 1), f"step {n}")
        except AssertionError as e:
            raise AssertionError(f"{e}: {sorted(listing('names') ^ listed(n + 1))} too many or missing") from e
        self.slowest = max(self.slowest, time.monotonic() - began)
        if n % ROLES != self.role:
            # Who did this waited for what was told here of the one before.
            self.looks.seen(self.busy, f"step {n}: the file")
        self.timed(lambda: self.tell(n))
        if n % ROLES != self.role:
            self.looks.did()
        until(lambda: self.timed(lambda: self.told(n)), f"step {n}: what the others have seen")
        if n % ROLES == self.role:
            self.looks.seen(self.busy, f"step {n}: the name")
            self.looks.did()


def names(role):
    """In turns one makes a file, renames it, makes a directory, deletes the file; the others list until they see it."""
    player = Names(role)
    for n in range(NAMES):
        player.step(n)
    looks = player.looks
    print(f"slowest {player.slowest:.2f} s" + (f", {looks.slowest:.2f} s to be seen, stated {looks.bound} s" if looks.bound else ""), flush=True)


GAMES = {"turns": turns, "locks": locks, "names": names}


def play(role, game, *directories):
    places.extend(directories)
    try:
        GAMES[game](role)
    except (OSError, AssertionError, ValueError) as e:
        print(f"FAIL {role}: {type(e).__name__} {e}", flush=True)
        return 1
    print("done", flush=True)
    return 0


def outcome(game, directories):
    """What is wrong in the end, as the disk has it."""
    def on_disk(path):
        return host(" || ".join(f"cat {directory}/{path} 2>/dev/null" for directory in directories))
    problems = []
    for n in range(FILES):
        if game == "turns" and on_disk(f"turn{n}").split() != [str(TURNS * ROLES)] * 2:
            problems.append(f"turn{n} ends with {on_disk(f'turn{n}')}")
        if game == "locks":
            lines = sorted(tuple(map(int, line.split())) for line in on_disk(f"count{n}.log").splitlines())
            told, all_ = int(on_disk(f"count{n}")), ROLES * LOCKS
            if told != all_ or sorted(value for _, _, value in lines) != list(range(all_)):
                problems.append(f"count{n} ends with {told} of {all_}, {len(lines)} lines")
            if [line[:2] for line in lines] != [(r, k) for r in range(ROLES) for k in range(LOCKS)]:
                problems.append(f"count{n}.log is not whole: {len(lines)} lines")
    return problems


def host(command):
    return subprocess.run(["hostctl", "hook", command], capture_output=True, text=True, timeout=60).stdout


def lay_out(directories):
    """In several directories the files are here and there."""
    for number, directory in enumerate(directories):
        files = [n for n in range(FILES) if n % len(directories) == number]
        host(f"mkdir -p {directory}/names; cd {directory}; for n in {' '.join(map(str, files))}; do printf '%-{WIDTH}s' '0 0' >turn$n; "
             f"printf '%-{WIDTH}s' 0 >count$n; printf '%-{WIDTH}s' '0 0' >seen$n; : >count$n.log; done; chmod -R a+rwX .")


def run(game, share, tree, place, looks):
    """What went wrong, and how long it took. `tree`: what the share shows, where the server's machine has it; `place`: where its
    player works; `looks`: the server sees what he does when it looks."""
    # Nobody has seen anything of that name.
    name = f"w{next(runs)}"
    tree, place = ([os.path.join(directory, name) for directory in directories] for directories in (tree, place))
    lay_out(tree)
    log = f"{os.environ['LOGS']}/{name}.log"
    began = time.monotonic()
    status = f"STATUS={shlex.quote(json.dumps([share, *json.loads(os.environ['STATUS'])]))} " if looks else ""
    host(f"{status}setsid python3 {os.environ['WRITERS']} play 2 {game} {' '.join(place)} >{log} 2>&1 </dev/null &")
    players = [subprocess.Popen([sys.executable, __file__, "play", str(role), game, f"/m/{role}/{share}/{name}"],
                                stdout=subprocess.PIPE, text=True, env={k: v for k, v in os.environ.items() if k != "STATUS"})
               for role in range(ROLES - 1)]
    said = [player.communicate(timeout=300)[0].strip() for player in players]
    # The third needs no longer than it takes to lose patience.
    third = host(f"for n in $(seq {PATIENCE * 10 + 50}); do grep -qE '^(done|FAIL|Trace)' {log} && break; sleep 0.1; done; cat {log}")
    said.append(third.strip())
    problems = [line for line in said if not line.endswith("done")] or outcome(game, tree)
    took = f"{time.monotonic() - began:.1f} s " + " ".join(line.removesuffix("done").strip() for line in said)
    host(f"rm -rf {' '.join(tree)}")
    return "; ".join(problems)[:600], took


def case(name, *how):
    """Once more, if it fails: the client of 6.1 trips over its own cache now and then. The log says so."""
    wrong, took = run(*how)
    if wrong:
        print(f"again: {name}: {wrong}", flush=True)
        wrong, took = run(*how)
    print(f"CASE FAIL  {name}: {wrong}" if wrong else f"CASE ok    {name}  {took}", flush=True)
    return not wrong


# With its cache of directories. The client of 6.1 loses the break of a directory's lease that comes between the answer to its open
# and its own note of the lease (has_lease in cached_dir.c is set last of all; mended in 6.1.191 and 6.7): it neither answers
# nor lists again. smbgate asks again each second for a listing that is not given up.
OPTIONS = "nosharesock"


def games():
    """Of each its name, the game, the share, what the share shows, where the third player works, and whether he is seen by
    looking only."""
    trees = json.loads(os.environ["TREES"])
    path, plain, view = trees["share"]["path"], trees["coherent"]["path"], os.environ.get("VIEW")
    yield "two_clients_and_the_path_in_turns", "turns", "share", [path], [path], False
    yield "two_clients_and_the_path_see_names", "names", "share", [path], [path], False
    yield "two_clients_without_leases_and_the_path_with_locks", "locks", "coherent", [plain], [plain], False
    if view:
        yield "two_clients_and_the_view_in_turns", "turns", "share", [path], [view], False
        yield "two_clients_and_the_view_see_names", "names", "share", [path], [view], False
        yield "two_clients_and_the_view_with_locks", "locks", "share", [path], [view], False
    for share, tree in trees.items():
        if "far" in tree:
            path, far = [tree["path"]], tree["far"]
            yield f"two_clients_and_{share}_in_turns", "turns", share, far or path, far or path, bool(far)
            yield f"two_clients_and_{share}_see_names", "names", share, far or path, far or path, bool(far)
            # Locks at the far end are not those of the mount.
            yield f"two_clients_and_{share}_with_locks", "locks", f"{share}-plain", [tree["plain"]], [tree["plain"]], False


def guest():
    e = os.environ
    users = [(e["SMB_USER"], e["SMB_PASS"]), (e["USER2"], e["PASS2"])]
    wanted = [game for game in games() if len(sys.argv) < 4 or game[0] in sys.argv[3:]]
    mounts = [(n, share) for n in range(2) for share in sorted({game[2] for game in wanted})]
    for n, share in mounts:
        (user, password), mount = users[n], f"/m/{n}/{share}"
        os.makedirs(mount)
        subprocess.run(["mount", "-t", "cifs", f"//{e['SERVER']}/{share}", mount, "-o",
                        f"port={e['PORT']},username={user},password={password},{OPTIONS},{sys.argv[2]}"], check=True)
    good = [case(*game) for game in wanted]
    for n, share in mounts:
        subprocess.run(["umount", f"/m/{n}/{share}"], check=True)
    return not all(good)


if __name__ == "__main__":
    sys.exit(guest() if sys.argv[1] == "guest" else play(int(sys.argv[2]), *sys.argv[3:]))
