"""Every error that Holdfast raises: one tree, stable codes, turned into an exit status only at the edge.

A class's docstring is its default message, its ``suggestions`` say what to do next.
"""

from typing import Any, ClassVar


class HoldfastError(Exception):
    """Something went wrong in Holdfast."""

    code: ClassVar[str] = "HOLDFAST_ERROR"
    suggestions: ClassVar[tuple[str, ...]] = ()
    retry_suggested: ClassVar[bool] = False

    def __init__(self, message: str | None = None, *, analysis_id: str | None = None, **details: Any) -> None:
        """Describe the error.

        Args:
            message: what was wrong, in a sentence; the class's docstring when not given.
            analysis_id: the analysis concerned, if there is one.
            details: JSON-able facts for programs (the value refused, the limit, ...).
        """
        self.message = message or (type(self).__doc__ or "").strip()
        self.analysis_id = analysis_id
        self.details = details
        super().__init__(self.message)


class InvalidInput(HoldfastError):
    """The input is not valid."""

    code = "INVALID_INPUT"


class InvalidId(InvalidInput):
    """The id is not valid."""

    code = "INVALID_ID"
    suggestions = ("Use 1 to 128 letters, digits or . _ : @ - and begin with a letter or a digit",)


class InvalidCursor(InvalidInput):
    """The cursor was not given out for this list."""

    code = "INVALID_CURSOR"
    suggestions = ("Begin the list anew, without a cursor",)


class InvalidParams(InvalidInput):
    """A parameter of the analysis is not valid."""

    code = "INVALID_PARAMS"


class UnknownKind(InvalidInput):
    """There is no analyzer of that kind."""

    code = "UNKNOWN_KIND"
    suggestions = ("List the kinds with `holdfast kinds`", "Install the package that brings the analyzer")


class UnknownDocument(InvalidInput):
    """The value cannot be kept as JSON."""

    code = "NOT_JSON"
    suggestions = ("Keep dictionaries with string keys, lists, strings, finite numbers, booleans and null",)


class AnalyzerNotImportable(InvalidInput):
    """The analyzer cannot be imported by another process."""

    code = "ANALYZER_NOT_IMPORTABLE"
    suggestions = ("Define the analyzer at the top level of a module, not in a notebook or a script run directly",)


class InvalidTarget(InvalidInput):
    """What should be analysed cannot be analysed."""

    code = "INVALID_TARGET"


class TargetNotFound(InvalidTarget):
    """There is nothing at that path."""

    code = "TARGET_NOT_FOUND"
    suggestions = ("Check the path",)


class NotARepository(InvalidTarget):
    """There is no git repository at that path."""

    code = "NOT_A_REPOSITORY"
    suggestions = ("Give the folder that holds .git, or a bare repository",)


class EmptyRepository(InvalidTarget):
    """The repository has no commit yet."""

    code = "EMPTY_REPOSITORY"
    suggestions = ("Commit something first",)


class BranchNotFound(InvalidTarget):
    """The repository has no such branch."""

    code = "BRANCH_NOT_FOUND"


class CommitNotFound(InvalidTarget):
    """The repository has no such commit."""

    code = "COMMIT_NOT_FOUND"
    suggestions = ("Fetch it first: a shallow clone lacks older commits",)


class CorruptTarget(InvalidTarget):
    """What should be analysed is damaged."""

    code = "CORRUPT_TARGET"
    suggestions = ("Check the repository with `git fsck`",)


class NotFound(HoldfastError):
    """There is no such thing."""

    code = "NOT_FOUND"


class AnalysisNotFound(NotFound):
    """There is no such analysis, or it has expired."""

    code = "ANALYSIS_NOT_FOUND"
    suggestions: ClassVar[tuple[str, ...]] = ("List what is kept with `holdfast list`", "Start a new analysis")


class AnalysisGone(AnalysisNotFound):
    """The analysis has expired, is used up or was deleted."""

    code = "ANALYSIS_GONE"
    suggestions = ("Start a new analysis", "Restore it if it is in the trash")


class WrongOwner(AnalysisNotFound):
    """The analysis belongs to somebody else."""

    # Told only where a documented route says so; everywhere else it is an analysis that does not exist.
    code = "ACCESS_DENIED"
    suggestions = ("Use the client session id that the analysis was stored with",)


class ResultNotFound(NotFound):
    """The analysis has no result yet."""

    code = "RESULT_NOT_FOUND"
    suggestions = ("Wait until it completes", "Resume it if it ended without a result")


class NothingToCompare(NotFound):
    """There is no earlier analysis of the same to compare with."""

    code = "NOTHING_TO_COMPARE"
    suggestions = ("Name the analysis to compare with", "Refresh it first")


class NotASearch(AnalysisNotFound):
    """The analysis is no search for duplicates."""

    code = "NOT_A_DUPLICATES_ANALYSIS"
    suggestions = ("List the searches with `holdfast duplicates list`",)


class GroupNotFound(NotFound):
    """The analysis has no such group."""

    code = "GROUP_NOT_FOUND"
    suggestions = ("List the groups of the analysis",)


class DecisionNotFound(NotFound):
    """There is no such decision that still holds."""

    code = "DECISION_NOT_FOUND"
    suggestions = ("It may have been undone, or another one has taken its place",)


class ExportNotFound(NotFound):
    """There is no such export, or it has expired."""

    code = "EXPORT_NOT_FOUND"
    suggestions = ("Ask for a new export",)


class ManifestNotFound(NotFound):
    """What the library held then was not kept."""

    code = "MANIFEST_NOT_FOUND"
    suggestions = ("Refresh the analysis: changes are told from then on",)


class JobNotFound(NotFound):
    """There is no such job."""

    code = "JOB_NOT_FOUND"


class TokenNotFound(NotFound):
    """There is no such token."""

    code = "TOKEN_NOT_FOUND"
    suggestions = ("List the tokens with `holdfast token list`",)


class RepositoryNotFound(NotFound):
    """There is no such repository."""

    code = "REPOSITORY_NOT_FOUND"
    suggestions = ("List the repositories with `holdfast repo list`", "Add it with `holdfast repo add`")


class BranchUnknown(NotFound):
    """Nothing is kept of such a branch."""

    code = "BRANCH_UNKNOWN"
    suggestions = ("List the branches with `holdfast branch list`", "Read them anew with `holdfast repo sync`")


class RefreshNotFound(NotFound):
    """There is no such refresh."""

    code = "REFRESH_NOT_FOUND"
    suggestions = ("List the refreshes with `holdfast schedule list`",)


class ConflictNotFound(NotFound):
    """There is no such conflict."""

    code = "CONFLICT_NOT_FOUND"
    suggestions = ("List the open conflicts with `holdfast conflicts list`",)


class AuthenticationRequired(HoldfastError):
    """Who asks is not known."""

    code = "AUTHENTICATION_REQUIRED"
    suggestions = ("Send a token as `Authorization: Bearer ...`; `holdfast token create` makes one",)


class Forbidden(HoldfastError):
    """The caller may not do that."""

    code = "FORBIDDEN"
    suggestions: ClassVar[tuple[str, ...]] = ("Ask an administrator for a token with the role that this needs",)


class TargetForbidden(Forbidden):
    """The service does not open that."""

    code = "TARGET_FORBIDDEN"
    suggestions = (
        "Name something within the folders that the service may open",
        "Ask whoever runs the service to add the folder to HOLDFAST_TARGET_ROOTS",
    )


class RateLimited(HoldfastError):
    """Too many requests."""

    code = "RATE_LIMITED"
    suggestions = ("Wait as long as Retry-After says",)
    retry_suggested = True


class Conflict(HoldfastError):
    """The change conflicts with what is kept."""

    code = "CONFLICT"


class ContentConflict(Conflict):
    """An analysis with this id is kept already, with other content."""

    code = "CONTENT_CONFLICT"
    suggestions = ("Use another id", "Leave the id out to get a new one")

    @classmethod
    def of(cls, analysis_id: str) -> "ContentConflict":
        """The one answer whoever has the id, and whatever for: an id is all that a stranger learns to be there."""
        return cls(f"The id {analysis_id} is taken by other content", analysis_id=analysis_id)


class IdempotencyConflict(Conflict):
    """The idempotency key was used for another request."""

    code = "IDEMPOTENCY_CONFLICT"
    suggestions = ("Use a new key for each request, and the same one only to repeat it",)


class IllegalMove(Conflict):
    """The analysis cannot do that in its present status."""

    code = "ILLEGAL_MOVE"
    suggestions = (
        "See how it stands: `holdfast show ID`",
        "A run whose worker was lost goes on by itself, in any worker, as soon as its lease ends",
    )


class SearchUnderWay(Conflict):
    """The same search is under way already."""

    code = "ANALYSIS_ALREADY_RUNNING"
    suggestions = ("Follow the one that runs", "Cancel it first")
    retry_suggested = True


class ExportNotReady(Conflict):
    """The export is not written yet."""

    code = "EXPORT_NOT_READY"
    suggestions = ("Ask for its status, and fetch it when it is ready",)
    retry_suggested = True


class VersionConflict(Conflict):
    """Somebody else changed it in the meantime."""

    code = "VERSION_CONFLICT"
    suggestions = ("Read it again and repeat the change",)
    retry_suggested = True


class StaleVersion(VersionConflict):
    """It is no longer at the version that the change was made for."""

    code = "STALE_VERSION"
    suggestions = ("Read it again, and repeat the change with its ETag if it still makes sense",)
    retry_suggested = False


class RefreshUnderWay(Conflict):
    """The branch is being refreshed."""

    code = "REFRESH_UNDER_WAY"
    suggestions = ("Wait until it is over", "Cancel its analysis")


class AlreadyResolved(Conflict):
    """The conflict is resolved already."""

    code = "ALREADY_RESOLVED"
    suggestions = ("Look at the branch: it is as the conflict was resolved, or later",)


class LeaseLost(Conflict):
    """Another worker has taken this job over."""

    code = "LEASE_LOST"


class RunError(HoldfastError):
    """The analysis did not complete."""

    code = "RUN_ERROR"


class AnalysisCancelled(RunError):
    """The analysis was cancelled."""

    code = "ANALYSIS_CANCELLED"
    suggestions = ("Continue from the last checkpoint with `holdfast resume`",)


class AnalysisTimeout(RunError):
    """The analysis took longer than it may."""

    code = "ANALYSIS_TIMEOUT"
    suggestions = (
        "Continue from the last checkpoint with `holdfast resume`",
        "Allow more time with --timeout",
    )
    retry_suggested = True


class AnalyzerFailed(RunError):
    """The analyzer raised an error."""

    code = "ANALYZER_FAILED"


class AnalyzerCrashed(RunError):
    """The analyzer's process ended without a result."""

    code = "ANALYZER_CRASHED"
    suggestions = ("Look for an out-of-memory kill or a crash of native code in the system log",)
    retry_suggested = True


class FunctionFailed(RunError):
    """The function raised an error."""

    code = "FUNCTION_FAILED"


class ProcessLost(RunError):
    """The process that ran the analysis ended, or was not heard of in time."""

    code = "PROCESS_LOST"
    suggestions = (
        "Look for what ended the process",
        "Run it again: what it saved with `run.save` is there",
    )
    retry_suggested = True


class ProcessorError(HoldfastError):
    """A processor failed."""

    code = "PROCESSOR_ERROR"


class ProcessorUnavailable(ProcessorError):
    """A processor's back end is away."""

    code = "PROCESSOR_UNAVAILABLE"
    suggestions = ("Start it, or correct its settings; what waits for it is done then",)
    retry_suggested = True


class EmbeddingFailed(ProcessorError):
    """A text cannot be embedded."""

    code = "EMBEDDING_FAILED"
    suggestions = ("Look at what the model says of it", "Use another model")


class EntityNotFound(NotFound):
    """There is no such entity."""

    code = "ENTITY_NOT_FOUND"
    suggestions = ("Name its kind and key as the neighbourhood of an analysis shows them",)


class UnknownProcessor(InvalidInput):
    """There is no processor of that name."""

    code = "UNKNOWN_PROCESSOR"
    suggestions = ("List the processors with `holdfast status`",)


class InvalidQuery(InvalidInput):
    """The query cannot be understood."""

    code = "INVALID_QUERY"
    suggestions = ("Put quotation marks around what is to be taken literally",)


class NoCurrentRun(HoldfastError):
    """No analysis runs here."""

    code = "NO_CURRENT_RUN"
    suggestions = (
        "Call holdfast.current() inside a function that @holdfast.analysis decorates, or inside `with hf.track(...)`",
        "In a thread that the function started, use the run that the function got",
    )


class StoreError(HoldfastError):
    """The store cannot do that."""

    code = "STORE_ERROR"


class InvalidDatabaseUrl(StoreError):
    """The database URL cannot be used."""

    code = "INVALID_DATABASE_URL"
    suggestions = ("Use sqlite:///relative.db, sqlite:////absolute.db or postgresql://user@host/name",)


class StoreUnavailable(StoreError):
    """The database cannot be reached."""

    code = "STORE_UNAVAILABLE"
    suggestions = ("Check that the database runs and that its address is right", "Try again")
    retry_suggested = True


class NoDatabase(StoreError):
    """There is no Holdfast database yet."""

    code = "NO_DATABASE"
    suggestions = (
        "Check the URL: --database or HOLDFAST_DATABASE_URL",
        "Make the database with `holdfast db upgrade`, or by the first analysis",
    )


class StoreReadOnly(StoreError):
    """The database cannot be written."""

    code = "STORE_READ_ONLY"
    suggestions = ("Check the permissions of the database file and of its folder",)


class StoreFull(StoreError):
    """The disk is full."""

    code = "STORE_FULL"
    suggestions = ("Free space on the disk that holds the database, then try again",)
    retry_suggested = True


class StoreCorrupt(StoreError):
    """The database is damaged."""

    code = "STORE_CORRUPT"
    suggestions = ("Restore it from a backup",)


class PayloadCorrupt(StoreCorrupt):
    """A kept result does not match its checksum."""

    code = "PAYLOAD_CORRUPT"


class SchemaNewer(StoreError):
    """The database was written by a newer Holdfast."""

    code = "SCHEMA_NEWER"
    suggestions = ("Upgrade Holdfast",)


class SchemaOutdated(StoreError):
    """The database was written by an older Holdfast."""

    code = "SCHEMA_OUTDATED"
    suggestions = ("Run `holdfast db upgrade`",)
