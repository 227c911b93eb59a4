"""The words of `clause_type`: cores and tails of each label, and openers shared by all labels."""

from __future__ import annotations

PARTIES = (
    ("the Supplier", "the Client"), ("the Licensor", "the Licensee"), ("the Vendor", "the Buyer"),
    ("the Contractor", "the Company"), ("the Agency", "the Customer"),
    ("the Lessor", "the Lessee"), ("Northfield", "Harrow"), ("the Provider", "the Subscriber"),
)  # fmt: skip
PLACES = ("Norway", "Ontario", "Bavaria", "Scotland", "Singapore", "Denmark", "Delaware", "Geneva")
# Openers name the topic of other clauses, so no single word reveals a label.
CLAUSE_OPENERS = (
    "Subject to clause {n},", "Save as set out in the payment terms,", "During the term,",
    "Notwithstanding any notice given,", "Without prejudice to the warranties above,",
    "After termination or expiry,", "Unless the Services schedule says otherwise,",
    "Except where data protection law requires more,", "Whether or not the fees have been paid,",
    "In addition to the duty of confidence,", "Insurance cover aside,",
    "Leaving intellectual property aside,", "In the event of an assignment,", "For clarity,",
    "Where liability is not excluded,", "As between the parties,",
)  # fmt: skip
CLAUSE_WORDINGS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "confidentiality": (
        (
            "{a} shall keep secret whatever it learns about {b}'s business",
            "nothing disclosed by {b} may be shown to outsiders",
            "{a} may use {b}'s documents only for this project and must guard them with care",
            "each side treats the other's trade secrets as its own",
            "what passes between {a} and {b} in the talks stays between them",
            "{a} returns or shreds all papers received from {b} and tells nobody of their content",
            "staff of {a} see {b}'s plans only if they need to know them",
        ),
        (
            "for {n} years", "unless a court orders disclosure", "even once work has ended",
            "save what is already public", "and binds its advisers in the same way", "",
        ),
    ),
    "termination": (
        (
            "either party may end this contract by giving {n} days' written notice",
            "{b} may walk away at once if {a} fails to cure a breach within {n} days",
            "this agreement runs for {n} months and then stops by itself",
            "{a} may cancel the order where {b} becomes insolvent",
            "the contract falls away if {b} does not pay two invoices in a row",
            "{b} can leave the arrangement at any time without giving a reason",
            "a material breach lets the other side bring the relationship to a close",
        ),
        (
            "and no compensation is due", "in which case work in hand is completed",
            "and access is switched off that day", "with effect from the end of the month",
            "by registered letter", "",
        ),
    ),
    "governing_law": (
        (
            "the laws of {place} apply to this agreement",
            "this contract is read and construed under the rules of {place}",
            "any dispute is decided by the courts of {place}",
            "the parties submit to arbitration seated in {place}",
            "{a} and {b} accept that judges in {place} alone may hear a claim",
            "conflict-of-law rules are set aside and {place} law is used",
            "proceedings may only be brought in {place}",
        ),
        (
            "to the exclusion of the sales convention", "before a panel of three",
            "and the language of the hearing is English", "without a jury",
            "also for claims in tort", "",
        ),
    ),
    "payment": (
        (
            "{b} pays each invoice within {n} days of receipt",
            "the fees are due monthly in advance",
            "{a} charges interest of {n} per cent on overdue sums",
            "all amounts are stated without VAT, which {b} bears",
            "travel costs are repaid to {a} against receipts",
            "{b} may hold back a sum in dispute but settles the rest on time",
            "a deposit of {n} per cent falls due on signature",
        ),
        (
            "by bank transfer", "without set-off", "in the currency of the order",
            "and prices rise once a year with the index", "after approval of the timesheet", "",
        ),
    ),
    "liability": (
        (
            "{a} answers for no more than the sums received in the last {n} months",
            "neither party owes the other for lost profit or lost goodwill",
            "the total exposure of {a} is capped at the contract value",
            "{a} is not responsible for indirect loss",
            "{b} cannot recover more than {n} thousand euros for any one event",
            "claims against {a} expire {n} months after the damage was seen",
            "{a} pays for damage only where it acted with gross negligence",
        ),
        (
            "except for death or injury", "whatever the legal ground", "in any calendar year",
            "and fraud is not limited", "even if warned of it", "",
        ),
    ),
    "indemnity": (
        (
            "{a} holds {b} harmless against claims by third parties",
            "{a} shall defend {b} at its own expense if an outsider sues over the goods",
            "{b} will make good every loss {a} suffers because of {b}'s content",
            "should a stranger allege infringement, {a} takes over the defence and the bill",
            "{a} reimburses {b} for fines caused by its own acts",
            "{b} keeps {a} free from demands of its employees",
            "lawyers' fees that {b} incurs from a suit about the product are for {a}",
        ),
        (
            "provided it hears of the claim promptly", "including settlements it agreed to",
            "and steers the case alone", "on first demand", "with all reasonable costs", "",
        ),
    ),
    "assignment": (
        (
            "{b} may not transfer its rights to anyone without consent",
            "{a} is free to hand this contract to a group company",
            "neither party may put another in its place",
            "{a} may subcontract parts of the work but stays answerable",
            "a change of control counts as a transfer that {b} must approve",
            "rights under this deed pass to successors of {b}",
            "{b} may sell its claims to a bank but not its duties",
        ),
        (
            "which is not to be refused without reason", "in whole or in part",
            "and any attempt is void", "after {n} days' warning", "by novation only", "",
        ),
    ),
    "force_majeure": (
        (
            "{a} is excused while flood, war or strike keeps it from performing",
            "no party is in default for a delay that it could not foresee or prevent",
            "deadlines are extended by as long as the event beyond control lasts",
            "an epidemic or act of government suspends the duties of {a}",
            "if power fails across the region, {b} cannot blame {a} for lateness",
            "natural disaster frees both sides until it has passed",
            "{a} need not deliver during an embargo",
        ),
        (
            "so long as it takes steps to resume", "but payment duties go on",
            "and after {n} days either may withdraw", "if it tells the other without delay",
            "however it arose", "",
        ),
    ),
    "warranty": (
        (
            "{a} promises that the goods match the description for {n} months",
            "the software will run in substance as documented",
            "{a} guarantees that work is done with skill and by trained people",
            "faulty parts are mended or replaced by {a} free of charge",
            "the product is delivered as is and {a} makes no assurance of fitness",
            "{b} must report a defect within {n} days or lose the right to repair",
            "{a} confirms that it has power to enter into this contract",
        ),
        (
            "wear and tear excepted", "from the date of hand-over",
            "unless {b} has altered them", "and gives no other promise",
            "at the place of use", "",
        ),
    ),
    "intellectual_property": (
        (
            "all copyright in the work product belongs to {b} once made",
            "{a} keeps title to its tools and know-how",
            "{b} receives a non-exclusive licence to use the code",
            "inventions made during the project are owned by {b}",
            "{b} may not copy, decompile or sell the software",
            "the logo and brand of {a} may be used only with its approval",
            "improvements to the design vest in {a}",
        ),
        (
            "worldwide and without royalty", "for the life of the right",
            "and moral rights are waived", "upon full payment", "including drafts", "",
        ),
    ),
    "data_protection": (
        (
            "{a} processes personal records only as {b} instructs",
            "{a} tells {b} of a breach of security within {n} hours",
            "information on individuals is not stored outside {place}",
            "{a} helps {b} to answer requests from data subjects",
            "names and addresses of users are erased after {n} days",
            "{a} engages a further processor only with {b}'s leave",
            "{a} encrypts what it holds about {b}'s customers",
        ),
        (
            "as the privacy annex describes", "and keeps a log of it",
            "in line with the regulation", "and allows an audit each year",
            "unless the person agreed", "",
        ),
    ),
    "non_compete": (
        (
            "{a} shall not work for a rival of {b} for {n} months",
            "neither party may hire away the other's staff",
            "{a} will not approach {b}'s customers on its own account",
            "for {n} years {a} opens no similar shop within {n} miles",
            "{b} agrees to buy such goods from {a} alone",
            "{a} must not hold shares in a business that offers the same service",
            "during the contract {b} deals with no other maker",
        ),
        (
            "in the territory of {place}", "directly or through others",
            "and pays a penalty if it does", "for as long as it is lawful",
            "save for listed shares", "",
        ),
    ),
}  # fmt: skip
