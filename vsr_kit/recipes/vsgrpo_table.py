"""vsGRPO's results as its paper prints them (arXiv 2504.00883, Tables 1 and 2): 2B models on VSI-Bench, per cent.

Left out: the 7B models.
"""

# Tables 1 and 2 as printed, Qwen2-VL-2B, per cent; `overall` is the printed average, not always the columns' mean.
# The most frequent answers are VSI-Bench's own row (arXiv 2412.14171), counted on the test's answers.
_COLUMNS = (
    "overall object_counting object_abs_distance object_size_estimation room_size_estimation object_rel_distance "
    "object_rel_direction route_planning obj_appearance_order"
).split()
_PRINTED = {
    "think": (22.9, 18.4, 4.3, 31.5, 17.3, 28.3, 22.9, 26.2, 16.8),
    "observe": (21.8, 16.8, 1.7, 32.7, 22.7, 28.8, 27.6, 26.2, 18.1),
    "vanilla": (23.3, 21.4, 3.4, 32.3, 31.1, 26.7, 27.7, 24.7, 18.9),
    "SFT": (29.6, 29.6, 23.5, 47.4, 33.5, 26.9, 28.3, 28.8, 18.6),
    "DPO": (23.9, 21.7, 3.7, 34.8, 32.4, 27.1, 28.5, 24.2, 18.6),
    "vsGRPO-T": (26.1, 24.7, 10.7, 37.4, 36.2, 27.3, 29.5, 25.7, 17.9),
    "vsGRPO-O": (28.0, 26.2, 16.4, 44.8, 38.2, 27.0, 29.3, 24.2, 18.2),
    "vsGRPO-T: think": (29.6, 35.0, 28.2, 34.7, 25.2, 28.0, 38.5, 28.5, 18.7),
    "vsGRPO-O: observe": (31.2, 34.6, 22.5, 44.8, 33.7, 29.4, 41.8, 26.8, 15.8),
    "vsGRPO-V": (35.4, 53.6, 29.0, 52.7, 43.4, 28.1, 30.9, 26.8, 18.9),
    "most frequent answer": (34.0, 62.1, 32.0, 29.9, 33.1, 25.1, 47.9, 28.4, 25.2),
}
PAPER_2B = {name: dict(zip(_COLUMNS, row, strict=True)) for name, row in _PRINTED.items()}
