"""A report of the account's numbers.

Shows: what they cost, which of them renew this week, and which had no call for a month. It reads Redis alone, and needs no API key.

    didflow up &
    python examples/inventory_report.py
"""

from datetime import timedelta

from didflow import Didflow, InventoryFilter


def main() -> None:
    inventory = Didflow.from_env().inventory
    state = inventory.state()
    totals = inventory.totals(renewal_days=7)
    age = "never swept" if state.age_s is None else f"{state.age_s:.0f} s old"
    print(f"{totals.numbers} numbers, {totals.monthly_usd} USD a month; {age}")
    print(f"{totals.renewals} renew within 7 days, for {totals.renewals_usd} USD")
    for number in inventory.numbers(matching=InventoryFilter(unused_for=timedelta(days=30)), sort="-monthly_usd"):
        print(f"{number.number} had no call since {number.unused_since:%Y-%m-%d} and costs {number.monthly_usd} USD a month")


if __name__ == "__main__":
    main()
