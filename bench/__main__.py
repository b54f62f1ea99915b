"""Run the measurements: ``python -m bench [--small] [p1 p3 ...]``."""

from bench import (
    p1_store,
    p2_http,
    p2_long,
    p3_read,
    p4_lists,
    p5_fulltext,
    p6_vector_graph,
    p7_jobs,
    p8_duplicates,
    p8_reader,
    p9_live,
    p10_retention,
    p11_staleness,
    p11_sync,
    r1_chaos,
    r7_idle_streams,
    r8_transfer,
    stop,
)
from bench.report import run

if __name__ == "__main__":
    run(
        {
            "p1": p1_store.measure,
            "p2": p2_http.measure,
            "p2-long": p2_long.measure,
            "p3": p3_read.measure,
            "p4": p4_lists.measure,
            "p5": p5_fulltext.measure,
            "p6": p6_vector_graph.measure,
            "p7": p7_jobs.measure,
            "p8": p8_duplicates.measure,
            "p8-reader": p8_reader.measure,
            "p9": p9_live.measure,
            "p10": p10_retention.measure,
            "p11": p11_sync.measure,
            "p11-staleness": p11_staleness.measure,
            "r7": r7_idle_streams.measure,
            "stop": stop.measure,
            "r1-chaos": r1_chaos.measure,
            "r8-transfer": r8_transfer.measure,
        }
    )
