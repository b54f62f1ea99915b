"""What a path alone tells: tests, code of others, code that programs wrote. Pure."""

import re

_VENDORED = re.compile(
    r"(?:^|/)(?:vendor|_vendor|vendored|node_modules|bower_components|third[-_]?party|jspm_packages|Godeps|Pods"
    r"|site-packages|\.yarn)/",
    re.IGNORECASE,
)
_GENERATED = re.compile(
    r"(?:\.min\.(?:js|css)|[-.]bundle\.js|\.(?:js|css)\.map|_pb2(?:_grpc)?\.pyi?|\.pb\.(?:go|cc|h)|\.g\.dart"
    r"|\.designer\.cs|\.snap"
    r"|(?:^|/)(?:package-lock\.json|npm-shrinkwrap\.json|yarn\.lock|pnpm-lock\.yaml|bun\.lock|poetry\.lock|uv\.lock"
    r"|pipfile\.lock|cargo\.lock|composer\.lock|gemfile\.lock|go\.sum|flake\.lock|pubspec\.lock|mix\.lock))$",
    re.IGNORECASE,
)
_TEST = re.compile(
    r"(?:^|/)(?:tests?|specs?|__tests__|testing|testdata|test[-_]data|fixtures|e2e)/"
    r"|(?:^|/)(?:test_[^/]*|conftest|[^/]*(?:_test|_spec|_tests|\.test|\.spec))\.[^/.]+$"
    r"|(?:^|/)[^/]*[a-z]Tests?\.(?:java|kt|cs|swift|scala|php)$"
)


def is_vendored(path: str) -> bool:
    """Whether it lies in a folder that by custom holds other people's code."""
    return _VENDORED.search(path) is not None


def is_generated(path: str) -> bool:
    """Whether its name says that a program wrote it: lock files, bundles, stubs."""
    return _GENERATED.search(path) is not None


def is_test(path: str) -> bool:
    """Whether it belongs to the tests, by the customs of common languages."""
    return _TEST.search(path) is not None
