"""Test sets of the paper: data cards, and builders that record exactly what they chose and why."""

from mvideo_core.evaluation.testsets.cards import DatasetCard, card_path, read_card, read_cards
from mvideo_core.evaluation.testsets.complex_motion import (
    ComplexMotionOptions,
    list_complex_motion,
    pick_named,
    write_manifest,
)
from mvideo_core.evaluation.testsets.mask_to_video import MaskToVideoOptions, choose_mask_to_video, find_naming_videos
from mvideo_core.evaluation.testsets.samples import (
    TestCandidate,
    TestSample,
    TestSet,
    candidate_of,
    read_test_set,
    write_list,
    write_test_set,
)
from mvideo_core.evaluation.testsets.vbench import PromptSet, VBenchOptions, choose_prompts, read_full_info

__all__ = [
    "ComplexMotionOptions",
    "DatasetCard",
    "MaskToVideoOptions",
    "PromptSet",
    "TestCandidate",
    "TestSample",
    "TestSet",
    "VBenchOptions",
    "candidate_of",
    "card_path",
    "choose_mask_to_video",
    "choose_prompts",
    "find_naming_videos",
    "list_complex_motion",
    "pick_named",
    "read_card",
    "read_cards",
    "read_full_info",
    "read_test_set",
    "write_list",
    "write_manifest",
    "write_test_set",
]
