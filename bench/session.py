"""What a command of Hoist's on a target is asked, from its standard input: the probe's command is asked stage by stage."""

import json


class Requests:
    """Takes a session's input apart, in whatever pieces it comes: `feed` calls `on(name, request)` ahead of each part of it.

    A part is a request with what follows it, or a line of the probe's to the process that holds the lock. Its name is the
    stage that it starts, `probe` for all else; the request is its bytes, without the line that announces it.
    """

    def __init__(self, on):
        self.on, self.held, self.announced, self.own = on, b"", 0, False

    def feed(self, data):
        """Returns what may be passed on; the rest of a line is held back until the line is whole."""
        self.held += data
        passed = b""
        while self.held:
            if self.own:
                # A request of a command of its own: all that follows is part of it.
                break
            line, newline, rest = self.held.partition(b"\n")
            if not newline:
                return passed
            announced = start_of(line)
            if announced is not None:
                if len(rest) < announced:
                    return passed
                request, rest = rest[:announced], rest[announced:]
                self.on(stage_of(request), request)
                passed, self.held = passed + line + newline + request, rest
                continue
            name = stage_of(line)
            self.own = name != "probe"
            self.on(name, self.held if self.own else line)
            passed, self.held = passed + line + newline, rest
        passed, self.held = passed + self.held, b""
        return passed


def start_of(line):
    """How many bytes follow a line that has the lock holder start a process; `None`: it is another line."""
    try:
        said = json.loads(line)
    except ValueError:
        return None
    return said["start"]["bytes"] if isinstance(said, dict) and "start" in said else None


def stage_of(request):
    """The stage that a request is for; `probe`: none."""
    line = request.partition(b"\n")[0]
    try:
        said = json.loads(line)
    except ValueError:
        return "probe"
    return said["stage"] if isinstance(said, dict) and said.get("action") == "run" else "probe"


def stages(path):
    """The requests of stages that a command read, of which a file is the whole: `[(stage, bytes)]`."""
    found = []
    Requests(lambda name, request: name == "probe" or found.append((name, request))).feed(path.read_bytes())
    return found
