"""`python -m localcluster up|down|status|env|logs|reset`: the local cluster's command line."""

from __future__ import annotations

import argparse
import shlex
import sys
import time

from rich.console import Console
from rich.table import Table

from localcluster import commands, platforms
from localcluster.errors import LocalClusterError
from localcluster.logs import follow
from localcluster.settings import Settings
from localcluster.supervisor import supervise


def main(argv: list[str] | None = None) -> int:
    """Run one command; the exit code is 1 where it could not be done."""
    arguments = _parser().parse_args(argv)
    console = Console(highlight=False, soft_wrap=True)
    try:
        return _run(arguments, Settings.from_environment(), console)
    except LocalClusterError as error:
        print(f"localcluster: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m localcluster", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="COMMAND")
    verbs.add_parser("up", help="start what does not run; return when everything is ready")
    verbs.add_parser("down", help="stop everything; the state stays")
    verbs.add_parser("status", help="show every service (exit code 1 unless all are ready)")
    verbs.add_parser("env", help="print the clients' variables for eval")
    logs = verbs.add_parser("logs", help="show the services' logs")
    logs.add_argument("services", nargs="*", help="default: all")
    logs.add_argument("-f", "--follow", action="store_true")
    logs.add_argument("--tail", type=int, default=50, metavar="N", help="last lines of each (default: 50)")
    reset = verbs.add_parser("reset", help="stop everything and delete all state")
    reset.add_argument("--yes", action="store_true", help="do not ask")
    verbs.add_parser("supervise", help="keep the services running in the foreground (what `up` starts)")
    return parser


def _run(arguments: argparse.Namespace, settings: Settings, console: Console) -> int:
    match arguments.verb:
        case "up":
            commands.up(settings, console.print)
        case "down":
            count = commands.down(settings, console.print)
            console.print(f"{count} processes ended; the state stays in {settings.home}" if count else "nothing runs")
        case "status":
            return _print_status(commands.status(settings), console)
        case "env":
            platforms.prepare(settings)
            for name, value in platforms.client_environment(settings).items():
                print(f"export {name}={shlex.quote(value)}")
        case "logs":
            return _print_logs(arguments, settings, console)
        case "reset":
            if not arguments.yes and not _agreed(f"Delete all state in {settings.home}? [y/N] "):
                raise LocalClusterError("nothing was deleted; `python -m localcluster reset --yes` does not ask")
            commands.reset(settings, console.print)
        case "supervise":
            return supervise(settings)
    return 0


def _agreed(question: str) -> bool:
    """Whether a person says yes; nobody does where there is no terminal."""
    try:
        return input(question).strip().lower() in ("y", "yes")
    except EOFError:
        print()
        return False


def _print_status(statuses: list[commands.ServiceStatus], console: Console) -> int:
    table = Table("service", "address", "state", "pid", "up")
    for status in statuses:
        age = f"{time.time() - status.since:.0f} s" if status.since else ""
        service = status.service
        table.add_row(service.title, service.address, status.state, str(status.pid or ""), age)
    console.print(table)
    return 0 if all(status.state == "ready" for status in statuses) else 1


def _print_logs(arguments: argparse.Namespace, settings: Settings, console: Console) -> int:
    known = ["supervisor", *(service.name for service in platforms.services(settings))]
    unknown = [name for name in arguments.services if name not in known]
    if unknown:
        raise LocalClusterError(f"no service {', '.join(unknown)}; there are {', '.join(known)}")
    width = max(map(len, known))
    for name, line in follow(settings.logs, arguments.services or known, arguments.tail, arguments.follow):
        console.print(f"{name:{width}} | {line}", markup=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
