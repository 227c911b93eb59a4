"""Lists of words in column names: input, right answer, system, the system in production.

In INPUTS and OUTPUTS an earlier word ranks higher.
"""

from __future__ import annotations

INPUTS = (
    "input", "prompt", "question", "query", "text", "message", "utterance",
    "user_input", "request", "instruction", "content", "body", "ticket", "email",
    "comment", "review", "sentence", "document", "article", "description", "title",
    "subject", "customer", "problem", "source", "src", "user", "freitext", "volltext",
    "frage", "anfrage", "nachricht", "anliegen", "eingabe", "beschreibung", "betreff",
    "kommentar", "inhalt", "texto", "pregunta", "mensaje", "texte", "demande",
    "pergunta", "mensagem", "treść",
)  # fmt: skip
OUTPUTS = (
    "output", "label", "target", "answer", "gold", "expected", "ground_truth",
    "groundtruth", "correct", "reference", "completion", "response", "ideal",
    "category", "class", "intent", "topic", "sentiment", "team", "queue", "assigned",
    "assignee", "tag", "labels", "answers", "solution", "reply", "summary",
    "translation", "tgt", "human", "kategorie", "ergebnis", "klasse", "richtig",
    "lösung", "soll", "erwartet", "zugewiesen", "zuordnung", "thema", "abteilung",
    "absicht", "antwort", "respuesta", "categoria", "categoría", "etiqueta",
    "réponse", "catégorie", "correcta", "correcto", "correta", "correcte", "clase",
    "classe", "étiquette", "kategoria",
)  # fmt: skip
SYSTEMS = (
    "prediction", "predicted", "pred", "model", "generated", "generation", "bot",
    "llm", "ai", "assistant", "system", "current", "present", "production", "prod",
    "today", "baseline", "gpt", "claude", "llama", "mistral", "gemini", "qwen",
    "haiku", "sonnet", "opus", "deepseek", "phi", "tuned", "finetuned", "ft", "o1",
    "o3", "o4", "ocr", "ml", "chatgpt", "altsystem", "ki", "heute", "aktuell",
    "bisher", "modelo", "modèle", "robot",
)  # fmt: skip
TRUTHS = (
    "attendu", "correct", "correcta", "correcte", "correcto", "correta", "erwartet",
    "esperado", "expected", "gold", "groundtruth", "human", "ideal", "label",
    "labels", "reference", "richtig", "soll", "solution", "target", "truth",
)  # fmt: skip
PRESENT = (
    "aktuell", "altsystem", "current", "heute", "present", "prod", "production",
    "today",
)  # fmt: skip
SYSTEM_STEMS = ("modell", "vorschlag", "suggest", "vorhersage", "vorherges", "predict", "voorspel")
"""Beginnings of words that name a system, as in `Modellantwort`."""
