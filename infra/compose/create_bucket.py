"""Create the lake's bucket at the endpoint that AWS_ENDPOINT_URL names; does nothing when it is there.

python infra/compose/create_bucket.py BUCKET
"""

import sys

from pyarrow import fs


def main(bucket: str) -> None:
    """Create one bucket. Raises OSError when the store refuses or does not answer."""
    # Only the URI form reads AWS_ENDPOINT_URL; the constructor would go to the public cloud.
    store, path = fs.FileSystem.from_uri(f"s3://{bucket}?allow_bucket_creation=true")
    store.create_dir(path)
    print(f"bucket {bucket} is ready")


if __name__ == "__main__":
    main(sys.argv[1])
