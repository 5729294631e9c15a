"""Have workers make thumbnails of your pictures, or of some that they paint first."""

import argparse
from pathlib import Path

from forq import JobFailed, Queue, Retry, call
from tasks import Thumbnail, paint, thumbnail

queue = Queue("thumbnails").options(timeout=60, retry=Retry(retries=2))


def main() -> None:
    """Enqueue, wait, and write down what came out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="*", type=Path, help="pictures of up to 1 MiB each")
    parser.add_argument("--paint", type=int, default=0, metavar="N", help="have N painted")
    parser.add_argument("--into", type=Path, default="thumbnails", help="a folder")
    wanted = parser.parse_args()
    wanted.into.mkdir(exist_ok=True)

    pictures = {file.stem: file.read_bytes() for file in wanted.files}
    painted = queue.enqueue_many(call(paint, number) for number in range(wanted.paint))
    for number, job in enumerate(painted):
        pictures[f"painted-{number}"] = job.result(timeout=600)

    jobs = queue.enqueue_many(call(thumbnail, picture) for picture in pictures.values())
    for name, job in zip(pictures, jobs, strict=True):
        try:
            small: Thumbnail = job.result(timeout=600)
        except JobFailed as failure:
            print(f"{name}: {failure}")
            continue
        (wanted.into / f"{name}.jpg").write_bytes(small.jpeg)
        print(f"{name}: {small.width}×{small.height}, likeness {small.likeness:016x}")


if __name__ == "__main__":
    main()
