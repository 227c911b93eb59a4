"""The words of `weekly_report`: units of a firm, what happened, what is planned."""

from __future__ import annotations

BUSINESS_UNITS = (
    "North", "South", "Harbour", "Airport", "Old Town", "Riverside", "Campus", "Market Hall",
    "Station", "West End", "Lakeside", "Hill Road", "Docks", "Arena", "Garden Centre", "Museum",
)  # fmt: skip
EVENTS = (
    "two vans were off the road", "the till system was down for a day", "a school group came in",
    "rain kept people away", "the new menu started", "a supplier was late", "the lift was mended",
    "an inspection passed without remarks", "three people were ill", "a street market helped",
    "the card reader failed twice", "heating was out for an evening", "the local paper praised us",
    "the road outside was closed", "stock of cups ran out", "a wedding party booked the room",
)  # fmt: skip
RISKS = (
    "milk prices rise", "the lease ends in spring", "one oven is old", "holidays start early",
    "a rival opens next door", "road works go on", "two people leave", "the freezer needs a repair",
    "stock is low", "the permit for the terrace runs out", "late payers", "energy costs",
)  # fmt: skip
PLANS = (
    "hire one cook", "count the stock", "test the new till", "train the new staff",
    "repaint the front", "meet the landlord", "launch the loyalty card", "renew the insurance",
    "order new chairs", "clean the vents", "trial Sunday opening", "change the supplier",
)  # fmt: skip
REPORT_SHAPES = (
    "Unit {unit}, week {week}. Revenue {revenue}k (week before {before}k), orders {orders}, "
    "returns {returns}, costs {costs}k, cash {cash}k. {event}. Risk: {risk}. Plan: {plan}.",
    "week {week} {unit}: rev {revenue}k vs {before}k, {orders} orders, {returns} returns, "
    "costs {costs}k, cash at end {cash}k; {event}; worry: {risk}; next: {plan}",
    "{unit} figures for week {week}: {orders} orders brought {revenue}k after {before}k, "
    "{returns} came back. Spent {costs}k, {cash}k in the bank. {event}. "
    "We worry about this: {risk}. To do: {plan}.",
    "Notes week {week} / {unit} / cash {cash}k / costs {costs}k / revenue {revenue}k, "
    "was {before}k / orders {orders} / returns {returns} / {event} / risk: {risk} / plan: {plan}",
)
