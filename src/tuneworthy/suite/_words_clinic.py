"""The words of `clinic_notes`: complaints, invented medicines, and wordings of each part."""

from __future__ import annotations

# What the record calls a complaint, and how notes say it.
COMPLAINTS = {
    "headache": ("a throbbing headache", "pain behind the eyes", "headaches on waking"),
    "cough": ("a dry cough", "coughing fits at night", "a cough that will not settle"),
    "back pain": ("a stiff lower back", "pain across the back", "a back that locks on bending"),
    "rash": ("an itchy rash", "red patches on both arms", "a rash after gardening"),
    "nausea": ("nausea after meals", "feeling sick in the mornings", "waves of sickness"),
    "dizziness": ("dizzy spells", "the room spinning on standing", "light-headedness"),
    "sore throat": ("a sore throat", "pain on swallowing", "a raw throat"),
    "insomnia": ("broken sleep", "lying awake until four", "trouble falling asleep"),
    "joint pain": ("aching knees", "swollen finger joints", "sore hips on stairs"),
    "heartburn": ("burning behind the breastbone", "acid after supper", "heartburn at night"),
}
DRUGS = (
    "calvoprin", "brenzolam", "tirofane", "ostelline", "marvidol", "pexatrin", "dolvarin",
    "sunopril", "kelomast", "rivenol", "habrazine", "filotan", "corvexil", "lumidrine",
    "zentapam", "orbicline",
)  # fmt: skip
ALLERGENS = (
    "penicillin", "latex", "peanuts", "iodine", "pollen", "wasp stings", "shellfish", "nickel",
    "aspirin", "cat hair",
)  # fmt: skip
OPENINGS = (
    "{age}-year-old {person} with {complaint}", "{Person}, {age}, reports {complaint}",
    "Seen today: {person} of {age}. Main trouble is {complaint}",
    "{Person} aged {age} comes in because of {complaint}",
    "Phone consult, {person}, {age} y: {complaint}", "Pt is a {age} y/o {person}; c/o {complaint}",
    "Referred for {complaint}. {Person}, {age} years", "Walk-in, {person} ({age}), {complaint}",
)  # fmt: skip
PEOPLE = {"f": ("woman", "lady", "female"), "m": ("man", "gentleman", "male")}
DURATIONS = (
    "for {n} days", "since {n} days ago", "going on {n} days now", "started {n} days back",
    "x{n} days",
)  # fmt: skip
FINDINGS = (
    "Lungs clear", "Blood pressure normal", "No fever", "Abdomen soft", "Walks without help",
    "Mood low but talks freely", "Weight steady", "Ears and nose unremarkable",
    "Pulse regular", "Skin warm and dry", "Sleeps badly", "Works in a bakery",
    "Lives alone, copes well", "Smokes a little", "Swims twice a week", "Recently moved house",
)  # fmt: skip
DOSE_SENTENCES = (
    "start {drug} {mg} mg {often}", "{drug} {mg} mg, {often}", "Rx {drug} {mg} mg {often}",
    "given {drug}, {mg} mg to be taken {often}", "continue {drug} at {mg} mg {often}",
    "switch to {drug} {mg} mg {often}",
)  # fmt: skip
FREQUENCIES = {
    1: ("once a day", "at night only", "every morning"),
    2: ("twice a day", "morning and evening", "every twelve hours"),
    3: ("three times a day", "with each main meal", "every eight hours"),
}
NO_DRUG_SENTENCES = (
    "no medicine needed",
    "rest and fluids only",
    "no prescription today",
    "reassured",
)
ALLERGY_SENTENCES = ("Allergic to {it}", "Allergy: {it}", "Cannot have {it}", "Reacts to {it}")
NO_ALLERGY_SENTENCES = ("No known allergies", "NKA", "Allergies: none", "")
REVIEW_SENTENCES = (
    "Review in {n} days",
    "See again after {n} days",
    "Back in {n} days",
    "Recheck, {n} d",
)
