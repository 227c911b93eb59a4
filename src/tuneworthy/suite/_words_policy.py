"""The words of `policy_faq`: places, rules with their units, and how people ask for them."""

from __future__ import annotations

OFFICES = (
    "Alderwick", "Brennhof", "Calverra", "Dunmarsh", "Estrella Bay", "Fjordheim", "Gallowmere",
    "Hartenau", "Ilmenau Park", "Jorvik Quay", "Kestrel Point", "Lindqvist House", "Marrowby",
    "Nordlund", "Ostrava Mills", "Pellworth",
)  # fmt: skip
# Used if a task has more rows than the offices above have rules.
MORE_OFFICES = (
    "Quarnford", "Rosenthal Yard", "Silverholm", "Tarnbeck", "Ullswick", "Vellinge Court",
    "Westerhall", "Ypsley", "Zeldermoor", "Ashgrove", "Birkenau", "Copperton", "Dovrefall",
    "Eastmere", "Falkenrode", "Greyhaven", "Holmbury", "Inverloch", "Juniper Row", "Kaltenbach",
    "Larkfield", "Mosswater", "Nettlecombe", "Oxbridge Wharf", "Pinehurst", "Quayside Nine",
    "Redmarley", "Stonecross", "Thornaby", "Underhill", "Vossberg", "Windermoor", "Yarrowdale",
    "Zinnwald",
)  # fmt: skip
# What the rule is about, how a document calls it, its unit, and the lowest and highest value.
RULES = (
    ("time off after a child is born", "parental leave", "weeks", 4, 40),
    ("holiday each year", "annual leave", "days", 20, 38),
    ("money for meals on a trip", "the daily meal allowance", "euros", 18, 75),
    ("working from home", "remote work per month", "days", 2, 18),
    ("parking my bicycle", "bicycle storage per desk row", "racks", 2, 30),
    ("learning budget", "the yearly training grant", "euros", 200, 2500),
    ("notice before I quit", "the notice period", "weeks", 2, 16),
    ("trial time for new people", "the probation period", "months", 2, 9),
    ("a hotel on business", "the hotel limit per night", "euros", 70, 260),
    ("handing in receipts", "the deadline for expense claims", "days", 7, 90),
    ("days for volunteering", "volunteer leave", "days", 2, 10),
    ("moving house", "relocation leave", "days", 2, 6),
    ("replacing a laptop", "the laptop cycle", "months", 18, 60),
    ("visitors at a time", "the guest limit per host", "guests", 2, 12),
    ("keeping door logs", "retention of entry records", "days", 14, 365),
    ("the commute subsidy", "the travel pass contribution", "euros", 10, 120),
    ("sick without a doctor's note", "self-certified sick leave", "days", 2, 7),
    ("storing old mail", "the mailbox archive", "months", 6, 84),
    ("a break in long shifts", "the rest break", "minutes", 15, 60),
    ("overtime I can carry over", "the overtime account", "hours", 10, 120),
    ("caring for a relative", "carer's leave", "days", 2, 20),
    ("changing my password", "the password interval", "days", 30, 365),
    ("booking the big hall", "the hall booking limit", "hours", 2, 10),
    ("returning a company phone", "the phone return deadline", "days", 2, 30),
    ("a gift from a customer", "the gift limit", "euros", 10, 150),
    ("eye tests", "the glasses contribution", "euros", 50, 400),
    ("studying for an exam", "exam leave", "days", 2, 12),
    ("a sabbatical", "the sabbatical limit", "months", 2, 12),
    ("reporting an accident", "the accident report deadline", "hours", 2, 72),
    ("bringing a dog", "dog days per week", "days", 2, 5),
)  # fmt: skip
QUESTIONS = (
    "How many {unit} are there for {topic} in {office}?",
    "I work in {office}. What is the rule on {topic}, in {unit}?",
    "{office} question: {topic}, how many {unit}?",
    "Can you tell me the number of {unit} for {topic} at the {office} office?",
    "What does {office} give for {topic}? I need the {unit}.",
    "My team moves to {office} soon; how many {unit} apply to {topic} there?",
    "Somebody asked me about {topic}. How many {unit} is it at {office}?",
    "For {topic}, how many {unit} does the {office} site allow?",
)
RULE_SENTENCES = (
    "At {office}, {term} is {value} {unit}.",
    "{office} staff: {term} is set at {value} {unit}.",
    "The works council of {office} agreed that {term} shall be {value} {unit}.",
    "From this date {term} in {office} stands at {value} {unit}.",
)
SECOND_SENTENCES = (
    "Ask the front desk for the form.", "Team leads may not grant more.",
    "Part-time staff get their share of it.", "The figure is reviewed every year.",
    "Exceptions need the signature of the site head.", "It replaces what was posted before.",
)  # fmt: skip
