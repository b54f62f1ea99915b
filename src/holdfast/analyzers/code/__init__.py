"""Analyses code: git repositories of any size, any branch, any commit."""

from holdfast.analyzers.code.analyzer import CodeAnalyzer

__all__ = ["CodeAnalyzer"]
