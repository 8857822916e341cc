"""What a table of measurements must say about where it was made."""

import os
import platform
import re
import subprocess


def output(*command):
    return subprocess.run(command, capture_output=True, text=True,
                          check=True).stdout.strip()


def version(package):
    return output("dpkg-query", "-Wf", "${Version}", package)


def processor():
    with open("/proc/cpuinfo") as f:
        text = f.read()

    name = re.search(r"model name\s*: (.*)", text)
    known = re.search(r"(flags|Features)\s*: (.*)", text)
    flags = known.group(2).split() if known else []
    sets = [f for f in ("avx2", "avx512f", "avx512_vnni", "amx_tile")
            if f in flags]

    return (f"{name.group(1) if name else platform.machine()}, "
            f"{len(os.sched_getaffinity(0))} cores, {' '.join(sets)}")


def head(*more):
    """Lines of Markdown: machine, system, versions, and what else is given."""
    load = os.getloadavg()[0]
    lines = [processor(),
             f"Linux {platform.release()}, "
             f"{output('cc', '--version').splitlines()[0]}",
             f"load average before the run {load:.1f}"
             + (" (busy: read with care)" if load > 0.5 else "")]

    return "\n".join(f"- {line}" for line in lines + list(more))


def row(cells):
    return "| " + " | ".join(str(c) for c in cells) + " |"


def table(columns, rows):
    return "\n".join([row(columns), row(["---"] * len(columns))]
                     + [row(r) for r in rows])
