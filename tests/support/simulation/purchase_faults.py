"""Faults of the provider that a random test gives to the mutating calls of a purchase."""

from hypothesis import strategies as st

MUTATING = ("cart_put", "cart_delete", "checkout", "destinations")


READS = ("owned", "cart", "dids", "cities")


FAULTS = st.builds(
    lambda call, kind, skip, times: {"call": call, "kind": kind, "skip": skip, "times": times, "seconds": 0.1},
    st.sampled_from(MUTATING),
    st.sampled_from(
        [
            "drop",
            "hang",
            "act_and_drop",
            "act_late",
            "cut_json",
            "act_then_html",
            "status_500_before",
            "rate_limit",
            "sell_to_other",
            "refuse",
        ]
    ),
    st.integers(0, 2),
    st.integers(1, 3),
) | st.builds(
    lambda call, kind, skip, times: {"call": call, "kind": kind, "skip": skip, "times": times, "seconds": 0.1},
    st.sampled_from(READS),
    st.sampled_from(["drop", "html_error", "cut_json", "lag", "rate_limit"]),
    st.integers(0, 2),
    st.integers(1, 5),
)
