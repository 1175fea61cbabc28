"""Triplets -> a WebDataset with index, description and card; and back."""

from mvideo_core.shards.card import DatasetInfo, FileEntry, ShardEntry, data_card, dataset_info, info_bytes
from mvideo_core.shards.dataset import MaskVideoDataset, Sample
from mvideo_core.shards.index import INDEX_NAME, write_index
from mvideo_core.shards.members import plan_sample, sample_bytes
from mvideo_core.shards.options import ShardOptions
from mvideo_core.shards.plan import Candidate, DatasetPlan, plan_shards
from mvideo_core.shards.verify import Problem, verify_dataset
from mvideo_core.shards.write import WrittenShard, shard_path, write_shard

__all__ = [
    "INDEX_NAME",
    "Candidate",
    "DatasetInfo",
    "DatasetPlan",
    "FileEntry",
    "MaskVideoDataset",
    "Problem",
    "Sample",
    "ShardEntry",
    "ShardOptions",
    "WrittenShard",
    "data_card",
    "dataset_info",
    "info_bytes",
    "plan_sample",
    "plan_shards",
    "sample_bytes",
    "shard_path",
    "verify_dataset",
    "write_index",
    "write_shard",
]
