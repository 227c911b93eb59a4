"""The words of `support_tickets`: people, things, complaints and the shapes of a message."""

from __future__ import annotations

NAMES = (
    "Mira", "Tessa", "Jonas", "Ravi", "Olga", "Bruno", "Hanna", "Felix", "Noor", "Diego",
    "Ingrid", "Kofi", "Lena", "Marek", "Priya", "Samir", "Greta", "Tomas", "Yuki", "Amara",
    "Oskar", "Bianca", "Emil", "Farah", "Gustav", "Helga", "Ivan", "Jelena", "Karim", "Luisa",
    "Malik", "Nadia", "Otto", "Petra", "Quentin", "Rosa", "Stefan", "Tilda", "Umar", "Vera",
    "Wanda", "Xenia", "Yara", "Zoltan", "Aisha", "Boris", "Carla", "Dario", "Elsa", "Fiona",
    "Goran", "Hugo",
)  # fmt: skip
UNSEEN_NAMES = (
    "Anouk", "Bram", "Chiara", "Dag", "Esme", "Finn", "Gwen", "Hamid", "Isolde", "Joaquin",
    "Katya", "Leopold", "Maeve", "Niklas", "Odette", "Pavel", "Renata", "Soren", "Thandi",
    "Ulrich", "Viktor", "Winnie", "Yusuf", "Zelda",
)  # fmt: skip
ITEMS = (
    "kettle", "lamp", "toaster", "blender", "rug", "mirror", "chair", "backpack", "tent", "heater",
    "speaker", "keyboard", "monitor", "fan", "clock", "vase", "drill", "jacket", "helmet", "mug",
    "printer", "scale", "stool", "teapot", "suitcase", "pillow", "shelf", "camera", "scarf", "desk",
)  # fmt: skip
ISSUE_KINDS = ("late", "broken", "wrong", "refund", "login", "billing")
KINDS_WITH_ITEM = ("late", "broken", "wrong", "refund")
COMPLAINTS: dict[str, tuple[str, ...]] = {
    "late": (
        "the {item} still hasn't turned up", "no sign of my {item} yet",
        "I have waited {days} days for the {item}", "where is the {item} I paid for",
        "tracking for the {item} hasn't moved in {days} days",
        "the {item} was promised for {weekday} and never came",
        "nobody has delivered the {item}", "my {item} seems stuck at the depot",
        "the courier skipped us again, so no {item}",
    ),
    "broken": (
        "the {item} arrived with a crack in it", "my {item} stopped working after {days} days",
        "the {item} makes a burning smell", "a piece of the {item} snapped off",
        "the {item} won't switch on", "the {item} came dented on one side",
        "there is a hole in the {item}", "the {item} rattles and then dies",
        "the {item} fell apart on {weekday}",
    ),
    "wrong": (
        "you sent a {item} that I never asked for", "I got the {item} in the wrong colour",
        "the {item} in the box belongs to somebody else's order",
        "this is not the {item} from the picture", "the {item} is two sizes too small",
        "the {item} you shipped is a different model",
        "instead of what I chose there was a {item}", "the label said {item} but it isn't mine",
        "I picked the blue {item} and a grey one came",
    ),
    "refund": (
        "please give me my money back for the {item}", "I returned the {item} and saw no money",
        "I'd like to send the {item} back for cash", "you owe me for the {item} I gave back",
        "when is the {item} paid back to my card", "I changed my mind about the {item}, pay me out",
        "the {item} went back on {weekday} and my account is still empty",
        "I want to be reimbursed for the {item}", "the shop promised to repay the {item}",
    ),
    "login": (
        "my password is refused", "I can't get into my account", "the sign-in code never comes",
        "the app throws me out after a second", "the reset link is dead",
        "it says my e-mail does not exist", "I am locked out since {weekday}",
        "the site does not know me any more", "two-step check keeps failing",
    ),
    "billing": (
        "I was charged twice this month", "the invoice shows {days} dollars too much",
        "my card was debited without a reason", "the discount is missing from my bill",
        "the receipt has the wrong address on it", "you took the yearly fee by mistake",
        "there is a payment I do not recognise", "the total does not match the offer",
        "VAT was added two times",
    ),
}  # fmt: skip
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
# A part in [] is left out where its field is absent. The number is the share of such messages.
MESSAGE_SHAPES = (
    "Hi, {a}.[ My order is {order}.][ Thanks, {name}]",
    "[Order {order}: ]{a}.[ Regards, {name}]",
    "hello[ this is {name},] {a}[, order no {order}]",
    "Subject: {a}. Please help.[ Ref {order}.][ {name}]",
    "[{name} here. ]Quick one: {a}.[ It's about {order}.]",
    "[name: {name} / ][order: {order} / ]problem: {a}",
    "Good morning! Sorry to bother you, but {a}.[ ({order})][ Best, {name}]",
    "{a}!! Not happy.[ {order}.][ Signed {name}]",
    "Can someone look into this? {a}.[ The number on the slip is {order}.][ Yours, {name}]",
    "[{order} - ]{a} - what now?[ - {name}]",
    "Dear team,[ my name is {name} and] {a}.[ Order {order}.]",
    "third time I write: {a}[, see {order}][. {name}]",
    "My mother bought this for me. {a}.[ Her order: {order}.][ Please answer to {name}.]",
    "Your colleague {other} told me to write. {a}.[ Case {order}.][ I'm {name}.]",
    "Voice note:[ uh, {name} speaking,] so {a}[, order is {order}], bye",
    "* {a}[\n* order {order}][\n* from {name}]",
    "I spent {days} minutes on hold.[ It is {name}.] {a}.[ Look up {order}.]",
    "[Re: {order}. ]Still not solved, {a}.[ Cheers {name}]",
    "Evening. {a}, and I'd like an answer by {weekday}.[ {name}][, {order}]",
    "PLEASE READ: {a}.[ ORDER {order}.][ {name}]",
)  # fmt: skip
CONJUNCTIONS = (" and ", ", also ", "; besides, ", ", plus ", ". On top of that ", " and now ")
