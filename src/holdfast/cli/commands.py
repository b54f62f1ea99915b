"""The commands by name, each with examples of its use."""

import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import holdfast
from holdfast.cli import (
    analyses,
    comparison,
    configuration,
    conflicts,
    database,
    demo,
    freshness,
    jobs,
    keeping,
    look,
    processing,
    relations,
    repositories,
    search,
    serve,
    tokens,
    transfer,
    worker,
)
from holdfast.cli.errors import OutputClosed, Pressed
from holdfast.cli.session import Given


class _Root(TyperGroup):
    """The whole command line."""

    def invoke(self, ctx: Any) -> Any:
        try:
            code = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError as error:
            # Told apart here, since Typer would answer with a status of its own.
            raise OutputClosed from error
        except KeyboardInterrupt as error:
            raise Pressed from error
        return code


# Plain help: Rich's takes three times as long, most of it for Markdown and syntax colours that it never shows.
_settings: dict[str, Any] = {
    "rich_markup_mode": None,
    "invoke_without_command": True,
    "context_settings": {"help_option_names": ["-h", "--help"], "max_content_width": 100},
}
app = typer.Typer(name="holdfast", cls=_Root, pretty_exceptions_enable=False, **_settings)
retention_app = typer.Typer(name="retention", **_settings)
schedule_app = typer.Typer(name="schedule", **_settings)
repo_app = typer.Typer(name="repo", **_settings)
branch_app = typer.Typer(name="branch", **_settings)
conflicts_app = typer.Typer(name="conflicts", **_settings)
jobs_app = typer.Typer(name="jobs", **_settings)
token_app = typer.Typer(name="token", **_settings)
db_app = typer.Typer(name="db", **_settings)
config_app = typer.Typer(name="config", **_settings)


def _show_version(value: bool) -> None:  # noqa: FBT001 Typer's form of a callback
    if value:
        typer.echo(f"holdfast {holdfast.__version__}")
        raise typer.Exit


@app.callback(epilog="Exit statuses, JSON fields and the whole story: docs/reference/cli.md")
def _root(
    context: typer.Context,
    *,
    url: Annotated[str | None, typer.Option("--database", metavar="URL", help="As --database of each command.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As --json of each command.")] = False,
    version: Annotated[  # noqa: ARG001 its callback does it
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Run analyses and keep what they find.

    Begin with `holdfast demo` in a git repository.
    """
    context.obj = Given(database=url, as_json=as_json)
    _help_alone(context)


@retention_app.callback()
def _retention(context: typer.Context) -> None:
    """See what goes by itself, and let it go now."""
    _help_alone(context)


@schedule_app.callback()
def _schedule(context: typer.Context) -> None:
    """See which refreshes wait, run or are over, and call one off."""
    _help_alone(context)


@repo_app.callback()
def _repo(context: typer.Context) -> None:
    """Keep repositories and their branches in step with where they are."""
    _help_alone(context)


@branch_app.callback()
def _branch(context: typer.Context) -> None:
    """See branches."""
    _help_alone(context)


@conflicts_app.callback()
def _conflicts(context: typer.Context) -> None:
    """See what two writers said differently, and choose."""
    _help_alone(context)


@jobs_app.callback()
def _jobs(context: typer.Context) -> None:
    """See what workers have to do, and try again what they gave up."""
    _help_alone(context)


@token_app.callback()
def _token(context: typer.Context) -> None:
    """Make, see and revoke the tokens that open the service."""
    _help_alone(context)


@db_app.callback()
def _db(context: typer.Context) -> None:
    """Make, upgrade, check, back up and move the database."""
    _help_alone(context)


@config_app.callback()
def _config(context: typer.Context) -> None:
    """See the settings, and where they come from."""
    _help_alone(context)


def _help_alone(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def _add(to: typer.Typer, name: str, command: Callable[..., Any], *examples: str) -> None:
    epilog = "\b\n" + "\n".join(["Examples:", *(f"  holdfast {example}" for example in examples)])
    to.command(name, epilog=epilog if examples else None)(command)


_add(
    app,
    "analyze",
    analyses.analyze,
    "analyze .",
    "analyze ~/src/app --branch release/2.1 --tag nightly",
    "analyze . --param 'include=src/**' --param history=500 --timeout 900",
    "analyze . --json | jq .summary",
)
_add(app, "demo", demo.demo, "demo", "demo ~/src/app")
_add(
    app,
    "list",
    look.list_analyses,
    "list",
    "list --status failed --status timed_out",
    "list --kind code --tag nightly --json",
)
_add(
    app, "show", look.show, "show 0198f3a2", "show 0198f3a2 --severity high --limit 100", "show 0198f3a2 --raw > r.json"
)
_add(
    app,
    "search",
    search.search,
    "search timeout",
    "search 'error (kind:code OR tag:\"release 2\") NOT owner:ci created>=2026-01-01'",
    "search 'status:failed' --facet kind --json",
)
_add(app, "thread", search.thread, "thread conversation-456 --verbose", "thread nightly --by session --limit 10")
_add(app, "process", processing.process, "process", "process --processor-type fulltext --limit 50")
_add(
    app,
    "reprocess",
    processing.reprocess,
    "reprocess 0198f3a2 --processors fulltext",
    "reprocess --all",
    "reprocess --failed",
)
_add(app, "status", processing.status, "status", "status --analysis-id 0198f3a2 --json")
_add(app, "progress", analyses.progress, "progress 0198f3a2 --follow")
_add(app, "cancel", analyses.cancel, "cancel 0198f3a2")
_add(app, "resume", analyses.resume, "resume 0198f3a2", "resume 0198f3a2 --timeout 3600")
_add(app, "delete", analyses.delete, "delete 0198f3a2", "delete 0198f3a2 --purge --yes")
_add(app, "restore", keeping.restore, "restore 0198f3a2")
_add(app, "trash", keeping.trash, "trash", "trash --json | jq -r '.items[].analysis_id'")
_add(app, "pin", keeping.pin, "pin 0198f3a2")
_add(app, "unpin", keeping.unpin, "unpin 0198f3a2")
_add(
    app,
    "compare",
    comparison.compare,
    "compare 0198f3a2",
    "compare 0198f3a2 0198f4b7 --change added",
    "compare my-repo main release/2.1 --json | jq .findings",
)
_add(app, "stale", freshness.stale, "stale", "stale my-repo", "stale my-repo feature/login --json")
_add(
    app,
    "refresh",
    freshness.refresh,
    "refresh 0198f3a2",
    "refresh my-repo main",
    "refresh my-repo main --in 2h",
    "refresh my-repo main --mark",
)
_add(app, "similar", relations.similar, "similar 0198f3a2")
_add(
    app,
    "neighbourhood",
    relations.neighbourhood,
    "neighbourhood 0198f3a2-7c11-7d20-8e6b-0d8f2f1b6c55",
    "neighbourhood technology:python --hops 2",
)
_add(app, "path", relations.path, "path technology:python tag:nightly")
_add(app, "stats", look.stats)
_add(app, "kinds", look.kinds)
_add(app, "worker", worker.worker, "worker", "worker --concurrency 4", "worker --until-idle", "worker --status --json")
_add(
    app,
    "serve",
    serve.serve,
    "serve",
    "serve --port 8080 --workers 2",
    "serve --host 0.0.0.0 --no-worker --database postgresql://app@db.example.org/holdfast",
)
_add(
    app,
    "export",
    transfer.export,
    "export everything.jsonl.zst",
    "export nightly.jsonl --tag nightly --since 2026-01-01",
    "export - --kind code | gzip > code.jsonl.gz",
    "export analyses.json --format analyses --tags decision --tags analysis",
)
_add(app, "import", transfer.import_, "import everything.jsonl.zst", "import results.sarif", "import - < run.json")
_add(repo_app, "add", repositories.add, "repo add .", "repo add ~/src/app --id app")
_add(repo_app, "list", repositories.list_repositories, "repo list")
_add(repo_app, "sync", repositories.sync, "repo sync", "repo sync app --json")
app.add_typer(repo_app)
_add(branch_app, "list", repositories.list_branches, "branch list app", "branch list app --json | jq '.items[].name'")
app.add_typer(branch_app)
_add(app, "history", repositories.history, "history app feature/login", "history app main --json")
_add(conflicts_app, "list", conflicts.list_conflicts, "conflicts list")
_add(conflicts_app, "show", conflicts.show, "conflicts show 0198f3a2-7c11-7d20-8e6b-0d8f2f1b6c55")
_add(
    conflicts_app,
    "resolve",
    conflicts.resolve,
    "conflicts resolve 0198f3a2-7c11-7d20-8e6b-0d8f2f1b6c55 --take remote",
    """conflicts resolve 0198f3a2-7c11-7d20-8e6b-0d8f2f1b6c55 --merged '{"commit_sha": "0a1b2c"}'""",
)
app.add_typer(conflicts_app)
_add(retention_app, "plan", keeping.plan, "retention plan", "retention plan --json | jq .counts")
_add(retention_app, "sweep", keeping.sweep, "retention sweep")
app.add_typer(retention_app)
_add(schedule_app, "list", freshness.list_tasks, "schedule list", "schedule list --status failed --json")
_add(schedule_app, "cancel", freshness.cancel, "schedule cancel 0198f3a2-7c11-7d20-8e6b-0d8f2f1b6c55")
_add(schedule_app, "auto", freshness.auto, "schedule auto", "schedule auto --enable", "schedule auto --disable")
app.add_typer(schedule_app)
_add(jobs_app, "list", jobs.list_jobs, "jobs list", "jobs list --status dead")
_add(jobs_app, "retry", jobs.retry, "jobs retry 17", "jobs retry --all")
_add(jobs_app, "schedules", jobs.schedules)
app.add_typer(jobs_app)
_add(
    token_app,
    "create",
    tokens.create,
    "token create ci",
    "token create dashboard --role reader --owner team-a --expires 30d",
    "token create admin --role admin --json | jq -r .secret",
)
_add(token_app, "list", tokens.list_tokens, "token list", "token list --json")
_add(token_app, "revoke", tokens.revoke, "token revoke 5f0c9a417be3d2a8")
app.add_typer(token_app)
_add(db_app, "upgrade", database.upgrade, "db upgrade --database postgresql://app@db.example.org/holdfast")
_add(db_app, "check", database.check, "db check", "db check --repair --json")
_add(
    db_app,
    "backup",
    transfer.backup,
    "db backup /backups/holdfast.zst",
    "db backup - | ssh backup 'cat > holdfast.zst'",
)
_add(
    db_app,
    "restore",
    transfer.restore,
    "db restore /backups/holdfast.zst --database sqlite:///restored.db",
)
_add(db_app, "migrate-to", transfer.migrate_to, "db migrate-to postgresql://app@db.example.org/holdfast")
app.add_typer(db_app)
_add(config_app, "show", configuration.show, "config show", "config show --json | jq .settings.database_url")
app.add_typer(config_app)
_add(app, "version", look.version)
