"""The wording of every question, verbatim from VSI-Bench (arXiv 2412.14171) and VSI-100k (vsGRPO, Fig. 2).

VSI-100k's missing spaces ("(s)in", ")is", ",width") are the paper's own and are kept. These are the wordings the papers
print; VSI-Bench's released rows put it a little differently in places ("what is the distance" for "what is the direct
distance", "The directions refer …" for "Directions refer …"), and are used as they are where they are loaded.
"""

VSI_BENCH = {
    "object_counting": "How many {category}(s) are in this room?",
    "object_abs_distance": (
        "Measuring from the closest point of each object, what is the direct distance between the {a} and the {b} "
        "(in meters)?"
    ),
    "object_size_estimation": (
        "What is the length of the longest dimension (length, width, or height) of the {category}, "
        "measured in centimeters?"
    ),
    "room_size_estimation": (
        "What is the size of this room (in square meters)? If multiple rooms are shown, estimate the size of the "
        "combined space."
    ),
    "object_rel_distance": (
        "Measuring from the closest point of each object, which of these objects ({options}) is the closest to the "
        "{category}?"
    ),
    "object_rel_direction_easy": (
        "If I am standing by the {a} and facing the {b}, is the {c} to the left or the right of the {b}?"
    ),
    "object_rel_direction_medium": (
        "If I am standing by the {a} and facing the {b}, is the {c} to my left, right, or back? An object is to my "
        "back if I would have to turn at least 135 degrees in order to face it."
    ),
    "object_rel_direction_hard": (
        "If I am standing by the {a} and facing the {b}, is the {c} to my front-left, front-right, back-left, or "
        "back-right? Directions refer to the quadrants of a Cartesian plane (assuming I am at the origin and facing "
        "the positive y-axis)."
    ),
    "obj_appearance_order": (
        "What will be the first-time appearance order of the following categories in the video: {options}?"
    ),
    "route_planning": (
        "You are a robot beginning at the {a} facing the {b}. You want to navigate to the {c}. You will perform the "
        "following actions (Note: for each [please fill in], choose either 'turn back,' 'turn left,' or 'turn "
        "right.'): {actions} You have reached the final destination."
    ),
}

VSI_100K = {
    "object_counting": "How many {category}(s)in the room?",
    "object_abs_distance": "What is the distance between the {a} and the {b} (in meters)?",
    "object_size_estimation": (
        "What is the length of the longest dimension (length,width, or height) of the {category}, "
        "measured in centimeters?"
    ),
    "room_size_estimation": "What is the size of this room (in square meters)?",
    "object_rel_distance": "Which of these objects ({options})is the closest to the {category}?",
    "object_rel_direction_easy": (
        "If I am standing by the {a} and facing the {b} is the {c} to the left or the right of the {b}?"
    ),
}
