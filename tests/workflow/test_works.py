"""What a work's job asks for grows with the work, not with the collection."""

import re

import pytest

pytestmark = pytest.mark.workflow


def test_large_works_ask_for_threads_and_time(workflow):
    workflow.configure(photos="photos", match={"pairs": {"exhaustive_images": 300, "neighbours": 50}})
    results = workflow.folder / "results"
    results.mkdir()
    (workflow.folder / "photos").mkdir()
    (workflow.folder / "photos" / "sources.csv").write_text("artist,work,image_url\n")
    works = {"small": 12, "large": 300, "huge": 5000}
    lines = [f"{work}\tartist\t{images}\ttrain" for work, images in works.items()]
    (results / "works.tsv").write_text("\n".join(["work_id\tartist_id\tn_images\tsplit", *lines]) + "\n")
    (results / "manifest.parquet").touch()
    targets = [f"results/matches/{work}.parquet" for work in works]
    run = workflow.run("--dry-run", "--workflow-profile", "none", "--cores", "16", *targets)
    assert run.returncode == 0, run.stdout + run.stderr
    blocks = re.findall(r"^rule match_work:\n((?:    .*\n)+)", run.stdout + run.stderr, re.MULTILINE)
    asked = {}
    for block in blocks:
        threads = re.search(r"threads: (\d+)", block)
        work = re.search(r"wildcards: work=(\w+)", block)[1]
        asked[work] = (int(threads[1]) if threads else 1, int(re.search(r"runtime=(\d+)", block)[1]))
    # 66 pairs; 44,850 pairs; 50 neighbours of each of 5,000 images: three seconds of a thread each, and an hour
    assert asked == {"small": (1, 63), "large": (8, 60 + 44850 // 160), "huge": (8, 60 + 250_000 // 160)}
