"""The paper's figures for Qwen2-VL-2B, as printed, to stand beside ours.

arXiv 2504.00883, Tables 1 and 2, on VSI-Bench, per cent; `overall` is the printed average, which is not always the mean
of the columns. The most-frequent-answer row is VSI-Bench's own (arXiv 2412.14171), counted on the test's answers.
Left out: the 7B models, and SFT and DPO, which come with their runs.
"""

_COLUMNS = (
    "overall",
    "object_counting",
    "object_abs_distance",
    "object_size_estimation",
    "room_size_estimation",
    "object_rel_distance",
    "object_rel_direction",
    "route_planning",
    "obj_appearance_order",
)
_PRINTED = {
    "think": (22.9, 18.4, 4.3, 31.5, 17.3, 28.3, 22.9, 26.2, 16.8),
    "observe": (21.8, 16.8, 1.7, 32.7, 22.7, 28.8, 27.6, 26.2, 18.1),
    "vanilla": (23.3, 21.4, 3.4, 32.3, 31.1, 26.7, 27.7, 24.7, 18.9),
    "vsGRPO-V": (35.4, 53.6, 29.0, 52.7, 43.4, 28.1, 30.9, 26.8, 18.9),
    "most frequent answer": (34.0, 62.1, 32.0, 29.9, 33.1, 25.1, 47.9, 28.4, 25.2),
}
PAPER_2B = {name: dict(zip(_COLUMNS, row, strict=True)) for name, row in _PRINTED.items()}
