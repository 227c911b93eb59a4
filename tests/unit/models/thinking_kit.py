"""Models with hand-set weights that copy a word of the prompt, with and without a thought.

The weights are set by hand: the next token hangs on the last one, and where the answer begins, on
which word stood in the prompt. So a model that thinks and its twin that does not give one answer.
"""

PLAIN = (
    "{% for m in messages %}<|im_start|> {{ m['role'] }} {{ m['content'] }} <|im_end|> {% endfor %}"
    "{% if add_generation_prompt %}<|im_start|> assistant{% endif %}"
)
OPEN = PLAIN.replace("<|im_start|> assistant{%", "<|im_start|> assistant <think>{%")
HYBRID = PLAIN.replace(
    "<|im_start|> assistant{%",
    "<|im_start|> assistant{% if enable_thinking is defined and enable_thinking is false %}"
    " <think> </think>{% endif %}{%",
)
ASKED = ("parcel", "invoice", "login", "refund")
LABELS = ("delivery", "billing", "account", "money")
THOUGHT = ("so", "let", "me", "see", "now")
WORDS = ("<|pad|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>", "system", "user",
         "assistant", *ASKED, *LABELS, *THOUGHT, "x", "y", "the", "my", "where", "is")  # fmt: skip
SIZE, SEEN = 64, 40  # columns: one a word, from SEEN on one a label


def tokenizer(template):
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    inner = Tokenizer(models.BPE({letter: at for at, letter in enumerate(alphabet)}, []))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    inner.add_tokens([AddedToken(word, normalized=False, special="|" in word) for word in WORDS])
    made = PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="<|pad|>", eos_token="<|im_end|>"
    )
    made.chat_template = template
    return made


def written(folder, template, first="<think>", ends=True):
    """Save a Llama that answers with the label of the last asked-for word.

    `first` is what it writes after the header: `<think>`, or an answer at once (""). `ends`: its
    thought comes to an end.
    """
    import torch
    import transformers

    coder = tokenizer(template)
    words = {word: coder.convert_tokens_to_ids(word) for word in WORDS}
    config = transformers.LlamaConfig(
        vocab_size=len(coder), hidden_size=SIZE, intermediate_size=8, num_hidden_layers=1,
        num_attention_heads=1, num_key_value_heads=1, max_position_embeddings=512,
        tie_word_embeddings=False, pad_token_id=words["<|pad|>"], bos_token_id=None,
        eos_token_id=words["<|im_end|>"],
    )  # fmt: skip
    model = transformers.LlamaForCausalLM(config)
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
        for name, weight in model.named_parameters():
            if name.endswith("norm.weight"):
                weight.fill_(1.0)
        column = {word: at for at, word in enumerate(WORDS)}
        for word, at in words.items():
            model.model.embed_tokens.weight[at, column[word]] = 1.0
        layer = model.model.layers[0].self_attn  # q = k = 0: each token sees the mean of all
        for n, asked in enumerate(ASKED):
            layer.v_proj.weight[n, column[asked]] = 1.0
            layer.o_proj.weight[SEEN + n, n] = 1.0
        head = model.lm_head.weight
        for n, label in enumerate(LABELS):
            head[words[label], SEEN + n] = 4.0
            head[words["<|im_end|>"], column[label]] = 30.0
            begins = (["assistant"] if not first else []) + ["</think>"]
            for word in begins:
                head[words[label], column[word]] = 10.0
        head[words["x"], column[WORDS[-1]]] = 1.0  # the last token too says something
        chain = ["<think>", *THOUGHT] + ([] if not ends else ["</think>"])
        if first:
            head[words[first], column["assistant"]] = 30.0
        for one, two in zip(chain, chain[1:] + ([] if ends else ["<think>"]), strict=False):
            head[words[two], column[one]] = 30.0
    model.save_pretrained(folder)
    coder.save_pretrained(folder)
    return folder
