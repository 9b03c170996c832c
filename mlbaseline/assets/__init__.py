"""Assets: path, `pip://` and `hf://` references ─▶ a local, checksummed file or folder.

`runs:/`, `models:/` and `datasets:/` lie on the tracking server, which this layer does not know: the caller passes in
`resolve`.
"""

from mlbaseline.assets.digests import FetchedAsset, hash_file, sha256_of
from mlbaseline.assets.fetching import fetch
from mlbaseline.assets.hub import MODEL_FILES, HubReference, parse_hub_reference

__all__ = ["MODEL_FILES", "FetchedAsset", "HubReference", "fetch", "hash_file", "parse_hub_reference", "sha256_of"]
