"""From edges to groups, without chains of unlike members. Pure.

Edges alone would chain: A is like B, B is like C, and soon a group holds what nobody takes for the same. So every group
has a centre to which each member is alike, and no two members contradict each other (another version, part or guest).
That is star clustering (Aslam, Pelekhov, Rus 2004), with vetoes. The heaviest signature is the centre: a misspelling
has fewer tracks and fewer friends than what was misspelt.
"""

from collections import defaultdict
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import polars as pl

from holdfast.analyzers.duplicates.compare import Signature, contradict
from holdfast.analyzers.duplicates.doubts import Doubt
from holdfast.analyzers.duplicates.parts import Edges, read_signatures

# Beyond so many members only these are asked for a veto: work stays linear in a group's size.
VETOING_MEMBERS = 64


class Link(NamedTuple):
    """How two signatures are alike."""

    similarity: float
    doubts: Doubt


SAME = Link(1.0, Doubt(0))


class Cluster(NamedTuple):
    """Signatures that are the same song in the same version.

    Attributes:
        centre: the row to which all others are alike.
        members: all rows with their link to the centre, the centre's own among them.
        links: the links among the members, by pairs of rows, smaller first.
    """

    centre: int
    members: Mapping[int, Link]
    links: Mapping[tuple[int, int], Link]

    def similarity(self, one: int, other: int) -> Link:
        """How alike two members are: as compared, or by way of the centre the weaker of both comparisons."""
        if one == other:
            return SAME
        direct = self.links.get((min(one, other), max(one, other)))
        if direct is not None:
            return direct
        via = self.members[one], self.members[other]
        return Link(min(link.similarity for link in via), via[0].doubts | via[1].doubts)


def build_clusters(table: pl.DataFrame, edges: Edges) -> list[Cluster]:
    """The clusters of two tracks or more, by their centres' rows.

    Args:
        table: the table of Signatures.
        edges: what is alike, each pair once.
    """
    tracks = table["tracks"].to_numpy()
    neighbours: defaultdict[int, dict[int, Link]] = defaultdict(dict)
    links = zip(edges.similarity.tolist(), map(Doubt, edges.doubts.tolist()), strict=True)
    for left, right, link in zip(edges.left.tolist(), edges.right.tolist(), links, strict=True):
        neighbours[left][right] = neighbours[right][left] = Link(*link)
    alone = np.ones(table.height, dtype=bool)
    alone[np.fromiter(neighbours, dtype=np.int64, count=len(neighbours))] = False
    clusters = [Cluster(row, {row: SAME}, {}) for row in np.nonzero(alone & (tracks > 1))[0].tolist()]
    crowded = {row for row, near in neighbours.items() if len(near) > 1}
    crowded.update(other for row in tuple(crowded) for other in neighbours[row])
    signatures = dict(read_signatures(table, np.array(sorted(crowded), dtype=np.int64)))
    clusters += _stars(neighbours, signatures, tracks.tolist())
    return sorted(clusters, key=lambda cluster: cluster.centre)


def _stars(
    neighbours: Mapping[int, Mapping[int, Link]], signatures: Mapping[int, Signature], tracks: list[int]
) -> list[Cluster]:
    def weight(row: int) -> tuple[float, int]:
        friends = sum(link.similarity * tracks[other] for other, link in neighbours[row].items())
        return -(tracks[row] + friends), row

    free = set(neighbours)
    clusters = []
    # Signatures are numbered by content, so what is heavier and what comes first is the same in every run.
    for _, centre in sorted(map(weight, neighbours)):
        if centre not in free:
            continue
        free.discard(centre)
        members = {centre: SAME}
        near = sorted(neighbours[centre].items(), key=lambda item: (-item[1].similarity, item[0]))
        for row, link in near:
            if row in free and not _vetoed(row, members, centre, neighbours, signatures):
                members[row] = link
                free.discard(row)
        if sum(tracks[row] for row in members) > 1:
            clusters.append(Cluster(centre, members, _links_among(members, neighbours)))
    return clusters


def _vetoed(
    row: int,
    members: Mapping[int, Link],
    centre: int,
    neighbours: Mapping[int, Mapping[int, Link]],
    signatures: Mapping[int, Signature],
) -> bool:
    for member, _ in zip(members, range(VETOING_MEMBERS), strict=False):
        # Who was compared and found alike need not be asked again.
        if member != centre and member not in neighbours[row] and contradict(signatures[row], signatures[member]):
            return True
    return False


def _links_among(
    members: Mapping[int, Link], neighbours: Mapping[int, Mapping[int, Link]]
) -> dict[tuple[int, int], Link]:
    return {
        (row, other): link
        for row in members
        for other, link in neighbours[row].items()
        if row < other and other in members
    }
