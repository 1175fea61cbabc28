"""To turn a model's answer into a caption, extraneous text is removed. Answers that are not captions are rejected.

The rows in `rows/caption/*.parquet` show both. `cleaned` has a [code](#codes-of-cleaned) for each kind of text that was
removed. If the answer was rejected, the row's status is `filtered`, `reason` says [why](#reasons), and `answer` has the
beginning of the answer. A caption with fewer words than `caption.min_words` is dropped, too, with the reason
`caption_too_short`. `model` is the model's name as the server returned it.

The rules look at the form of an answer, so they work for any language; only refusals and introductions are recognized
by their words. `benchmarks/results/caption_faults.md` lists every tested case.
"""

import json
import zlib
from collections import Counter
from dataclasses import dataclass

import regex

MAX_ANSWER_CHARS = 20_000
"""Longer answers are truncated to this before any rule runs; a caption has about a thousand characters."""
NO_TEXT = frozenset({"none", "null", "nil", "na", "n a", "empty", "no caption", "no description", "unknown"})
LOOP_REPEATS, LOOP_WORDS, LOOP_BYTES, LOOP_ZLIB_RATIO = 3, 60, 200, 0.2
"""A loop: one sentence three times and half of the text; or five times as many words as distinct ones among the first
60; or at least 200 bytes that deflate to a fifth (prose deflates to about half, four repeats of it to an eighth)."""
ECHO_WORDS, ECHO_FRAC = 6, 0.5
"""An echo: half of the answer's six-word sequences also occur in the prompt."""

REASONS = {
    "caption_empty": "the answer has no letters after cleaning",
    "caption_refused": "the model says it cannot or will not describe the clip",
    "caption_thinking": "the model reasons, but gives no answer",
    "caption_echo": "the answer repeats the prompt",
    "caption_truncated": "the answer hit the length limit before its first sentence ended",
    "caption_looped": "the answer repeats one sentence or phrase over and over",
    "caption_not_prose": "the answer is JSON or code without a caption",
}
"""Reasons to reject an answer."""
CODES = {
    "characters": "control, zero-width, bidirectional or replacement characters, or half a surrogate pair",
    "thinking": "a block of reasoning",
    "special_tokens": "chat template tokens such as <|im_end|>, and everything after an end token",
    "code_fence": "three backticks around the text",
    "json": "a JSON object around the text",
    "wrapper": "an introduction (Sure! Here is ...), a heading (Caption:), an offer at the end, quotes around the text",
    "markdown": "Markdown or HTML: emphasis, headings, bullets, links",
    "echo": "the prompt, repeated before the text",
    "disclaimer": "a later sentence about what the model cannot do",
    "truncated": "the unfinished last sentence of an answer that hit the length limit",
}
"""What was removed from an accepted answer."""


@dataclass(frozen=True, slots=True)
class Cleaned:
    """The outcome for one answer.

    Attributes:
        text: the caption as one line; "" if rejected.
        codes: keys of CODES, in the order applied.
        reason: key of REASONS; "" if accepted.
    """

    text: str
    codes: tuple[str, ...] = ()
    reason: str = ""


def clean_answer(answer: str, prompt: str = "", truncated: bool = False) -> Cleaned:
    """Extract the caption from an answer, or the reason why there is none.

    Args:
        answer: the model's text, any length and characters.
        prompt: the prompt, to detect an echo; "" = do not check.
        truncated: the model stopped at its length limit.
    """
    text, codes = answer[:MAX_ANSWER_CHARS], []
    steps = (
        ("characters", plain_characters), ("thinking", _without_thinking), ("special_tokens", _without_special_tokens),
        ("code_fence", _without_fence), ("json", _without_json), ("echo", lambda text: _without_echo(text, prompt)),
        ("markdown", _without_markdown), ("wrapper", _without_wrapper),
    )  # fmt: skip
    for code, step in steps:
        before, text = text, step(text)
        if _line(text) != _line(before):
            codes.append(code)
        if not _has_letters(text) and _has_letters(before):
            return Cleaned("", tuple(codes), _REASON_WHEN_NOTHING_LEFT.get(code, "caption_empty"))
    text = _line(text)
    if reason := _find_fault(text, prompt):
        return Cleaned("", tuple(codes), reason)
    kept = " ".join(piece for n, piece in enumerate(sentences(text)) if n == 0 or not _DISCLAIMER.match(piece))
    if kept != " ".join(sentences(text)):
        text, codes = kept, [*codes, "disclaimer"]
    if truncated or len(answer) > MAX_ANSWER_CHARS:
        ended = cut_at_sentence(text)
        if not ended:
            return Cleaned("", tuple(codes), "caption_truncated")
        text, codes = (ended, [*codes, "truncated"]) if ended != text else (text, codes)
    return Cleaned(text, tuple(codes))


def final_answer(answer: str) -> str:
    """An answer without odd characters, reasoning and chat tokens; not yet searched for a caption."""
    return _without_special_tokens(_without_thinking(plain_characters(answer[:MAX_ANSWER_CHARS])))


def plain_characters(text: str) -> str:
    """Remove non-text characters: lone surrogates, control, bidirectional and zero-width characters.

    Joiners are kept where scripts (Persian, Indic) and emoji need them.
    """
    paired = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "ignore")
    return _INVISIBLE.sub("", _BLANK.sub(" ", paired))


def sentences(text: str) -> list[str]:
    """Split a text in any script into sentences, each with its end mark."""
    return [piece.strip() for piece in _SENTENCE.findall(text) if piece.strip()]


def cut_at_sentence(text: str) -> str:
    """The text up to its last sentence end; "" if no sentence ends."""
    ends = [match.end() for match in SENTENCE_END.finditer(text)]
    return text[: ends[-1]] if ends else ""


SENTENCE_END = regex.compile(
    r"""[.!?…]+["'”’»)\]]*(?=\s|$)"""  # followed by whitespace, so that 1.5 does not end a sentence
    r"""|[。！？｡．]+[”’」』）)\]]*"""
    r"""|[।॥۔؟።፧။។៕᠃᱾꓿։]+"""
)
"""End of a sentence, closing quotes included: Latin, Chinese and Japanese, Devanagari, Urdu, Arabic, Ethiopic, Burmese,
Khmer, Armenian and others. Thai and Lao have no such mark."""
_SENTENCE = regex.compile(rf"(?s)(?:(?!{SENTENCE_END.pattern}).)*(?:{SENTENCE_END.pattern}|$)")

_BLANK = regex.compile(r"[\v\f\r\x1C-\x1F\x85\p{Zl}\p{Zp}]")
_INVISIBLE = regex.compile(
    r"(?V1)(?<![[\p{L}\p{M}]--[\p{Latin}\p{Greek}\p{Cyrillic}]]|[\p{Extended_Pictographic}\uFE0F])[\u200C\u200D]"
    r"|[\p{Cf}--[\u200C\u200D\p{Arabic}]]|[\p{Cc}--[\n\t]]|[\p{Co}\uFFFD\uFFFE\uFFFF\u115F\u1160\u3164\u2800]"
)

_THINK = r"(?:think|thinking|thought|thoughts|reasoning|reflection|analysis|scratchpad)"
_THOUGHTS = regex.compile(
    rf"(?is)<(?P<tag>{_THINK})\b[^<>]*>.*?(?:</(?P=tag)\s*>|\Z)|\[THINK\].*?(?:\[/THINK\]|\Z)"
    r"|◁think▷.*?(?:◁/think▷|\Z)"
    r"|<\|channel\|>\s*(?:analysis|commentary)\b.*?(?=<\|channel\|>\s*final|\Z)"
)
_THOUGHT_END = regex.compile(rf"(?is)\A.*(?:</{_THINK}\s*>|\[/THINK\]|◁/think▷)")
_FINAL = regex.compile(r"(?is)\A.*<\|channel\|>\s*final\s*(?:<\|message\|>)?")
_ANSWER = regex.compile(r"(?is)\A.*(?:<answer>|<\|begin_of_box\|>)(?P<inside>.+?)(?:</answer>|<\|end_of_box\|>|\Z).*\Z")
_END_TOKEN = regex.compile(
    r"(?i)<\|(?:im_end|endoftext|end_of_text|eot_id|end|eos|eom_id|user|return)\|>|</s>|<eos>|<end_of_turn>|<\|im_start\|>"
    r"|<end_of_utterance>"
)
_ANY_TOKEN = regex.compile(
    r"(?i)<\|[^<>|\n]{1,40}\|>|</?(?:s|bos|eos|pad|unk|image|video|img|start_of_turn|end_of_turn|fake_token_around_image)>"
    r"|\[/?INST\]|<</?SYS>>|<start_of_turn>\s*model|(?<=\A\s*)(?:<\|[^<>|]*\|>\s*)*assistant\s*\n"
)
_ROLE = regex.compile(r"(?i)\A\s*(?:assistant|ai|model|助手|answer)\s*[:：]\s*")
_NEXT_TURN = regex.compile(r"(?i)\n\s*(?:user|human|用户)\s*[:：].*\Z", regex.DOTALL)

_FENCE = regex.compile(r"(?s)```[ \t]*[\w+-]*[ \t]*\n?(?P<inside>.*?)(?:```|\Z)")
_CAPTION_FIELDS = ("caption", "description", "text", "summary", "answer", "response", "output", "video_description")


def _any(*choices: str) -> str:
    return f"(?:{'|'.join(choices)})"


_NOUN = _any(
    r"captions?|descriptions?|describ\w+|paragraphs?|summary|overview|answer|beschreibung|légende|descripción",
    r"descrição|descrizione|описание|描述|说明|字幕|説明|설명|وصف",
)
_IN_CLAUSE = r"[^\n.!?。！？:：]"
_INTERJECTION = regex.compile(
    r"(?i)\A"
    + _any(
        r"sure(?: thing)?|certainly|of course|absolutely|okay|ok|great|alright|gladly|no problem|got it|understood",
        r"natürlich|gerne|bien sûr|certainement|claro(?: que sí)?|por supuesto|certo|конечно|当然(?:可以)?|好的|没问题",
        r"もちろんです|はい|물론입니다|네",
    )
    + r"\s*[!！,，.。、:：]+\s*(?=\S)"
)
_HERE = _any(
    r"\bhere(?:['’]s| is| are| it is| you go)|\bbelow is|\bthe following|\bhier ist|\bvoici|\baquí|\baqui está|\becco",
    r"(?<!\p{L})вот|以下|다음은",
)
_INTRODUCTION = regex.compile(
    rf"(?i)\A{_IN_CLAUSE}{{0,120}}?{_HERE}(?={_IN_CLAUSE}*{_NOUN}|{_IN_CLAUSE}{{0,12}}[:：]){_IN_CLAUSE}{{0,160}}"
    r"(?:[:：]|[.!。]?\s*\n)\s*(?=\S)"
)
_HEADING_WORD = _any(
    r"the|a|an|of|for|this|my|final|detailed|short|brief|one|single|english|videos?|clip|scene|image|frames|visual",
    r"captions?|description|summary|overview|paragraph|answer|output|response",
)
_HEADING = regex.compile(
    r"(?i)\A(?=[^\n:：]*(?:caption|description|summary|overview|answer|output|response))"
    rf"{_HEADING_WORD}(?:[ -]{_HEADING_WORD}){{0,6}}\s*(?:[:：]|\.?\s*\n)\s*(?=\S)"
    r"|\A(?:该|这段|本)?(?:视频|画面|影片|動画|映像)?の?的?(?:描述|字幕|说明|說明|标题|標題|总结|概述|説明|キャプション)\s*[:：]\s*(?=\S)"
    r"|\A(?:video)?(?:beschreibung|bildunterschrift|légende|description|descripción|descrição|descrizione|описание|подпись|"
    r"설명|캡션|คำบรรยาย|คำอธิบาย|الوصف|विवरण)\s*[:：]\s*(?=\S)"
)
_OFFER = regex.compile(
    r"(?i)(?:\A|(?<=[.!?。！？…]\s*))"
    + _any(
        r"let me know if|i hope (?:this|that)|hope (?:this|that) helps|would you like (?:me|a|any)",
        r"(?:please )?feel free to|if you (?:need|would like|want|have any)|is there anything else|do you want me to",
        r"如果您?(?:需要|还有)|希望(?:这|以上)|请告诉我",
    )
    + r"[^\n]*\Z"
)
_QUOTES = {'"': '"', "“": "”", "'": "'", "‘": "’", "«": "»", "「": "」", "『": "』", "„": "“", "`": "`"}

_MARKDOWN = (
    (regex.compile(r"(?i)</?(?:br|p|b|i|u|em|strong|div|span|ul|ol|li|h[1-6]|caption|description|text)\s*/?>"), " "),
    (regex.compile(r"!?\[([^\[\]]*)\]\((?:[^()\s]+)(?:\s+\"[^\"]*\")?\)"), r"\1"),
    (regex.compile(r"(?m)^[ \t]{0,3}#{1,6}[ \t]+(?=\S)"), ""),
    (regex.compile(r"(?m)^[ \t]*>[ \t]?"), ""),
    (regex.compile(r"(?m)^[ \t]*(?:[-*_][ \t]*){3,}$"), ""),
    (regex.compile(r"(?m)(?<=[\p{L}\p{N}])[ \t]*\n(?=[ \t]*(?:[-*+•]|\d{1,2}[.)])[ \t]+\S)"), ".\n"),
    (regex.compile(r"(?m)^[ \t]*(?:[-*+•]|\d{1,2}[.)])[ \t]+(?=\S)"), ""),
    (regex.compile(r"(?<!\*)\*{1,3}(?=\S)(.+?)(?<=\S)\*{1,3}(?!\*)", regex.DOTALL), r"\1"),
    (regex.compile(r"(?<![\w_])_{1,3}(?=\S)(.+?)(?<=\S)_{1,3}(?![\w_])", regex.DOTALL), r"\1"),
    (regex.compile(r"~~(.+?)~~"), r"\1"),
    (regex.compile(r"`([^`\n]+)`"), r"\1"),
    (regex.compile(r"\*\*|__(?=\s|$)"), ""),
)  # fmt: skip

_UNABLE = r"(?:sorry|unable|not able|afraid|an? (?:ai|language|text))"
_CANNOT = _any(
    rf"can(?:not|'t|’t| not)|am {_UNABLE}|[’'`]m {_UNABLE}|(?:do|did|could|will|would) ?n[o'’]?t",
    r"won['’]t|was unable|lack|apologi[sz]e|have no (?:access|way|ability)|need (?:to see|you to|more)|require",
)
_MEDIA = r"(?:videos?|images?|frames?|pictures?|files?|content|attachments?)"
_GIVEN = _any(
    r"provided|attached|uploaded|available|shared|supplied|included|visible to me|given to me",
    r"in (?:your|this) (?:message|request|conversation)",
)
_IT_SEEMS = r"(?:it (?:seems|appears|looks like) )?(?:that )?"
_REFUSAL = regex.compile(
    r"(?i)\A"
    + _any(
        rf"(?:i|we)\s?{_CANNOT}\b",
        rf"(?:sorry|(?:my )?apologies|unfortunately|regrettably)[,.!:]?\s+(?:but\s+)?"
        rf"(?:i|we|there|no|this|as|the {_MEDIA})\b",
        r"as an? (?:ai|artificial|language|large|text|vision|machine)\b|sorry[.!]?\Z",
        rf"{_IT_SEEMS}(?:there (?:is|are|was|were) )?no {_MEDIA}\s"
        rf"(?:(?:is|are|was|were|has been|have been)\s)?{_GIVEN}",
        rf"(?:the|your) {_MEDIA} (?:(?:is|are|was|were|has|have) ?n[o'’]t (?:been )?{_GIVEN}"
        r"|(?:could|can) ?n[o'’]?t be)",
        rf"{_IT_SEEMS}you (?:have|did)\s?n[o'’]t (?:provide|attach|upload|share|include)",
        r"(?:please|could you(?: please)?|kindly) (?:provide|upload|attach|share|send)\b",
        r"this (?:request|content) (?:violates|is against|cannot)",
        r"(?:es )?tut mir leid\b|leider (?:kann|ist|bin)\b|ich kann (?:leider|keine|nicht|das|dieses|diese)\b",
        r"als (?:ki|sprachmodell)\b|(?:je suis )?(?:désolée?|navrée?)\b|je ne (?:peux|suis|vois)\b|malheureusement\b",
        r"en tant qu[e'’]|lo siento\b|no puedo\b|lamentablemente\b|como (?:modelo|ia|una? ia)\b|desculpe\b",
        r"sinto muito\b|não (?:posso|consigo)\b|infelizmente\b|mi dispiace\b|non posso\b|purtroppo\b|извините\b",
        r"простите\b|к сожалению\b|я не (?:могу|вижу)\b|как (?:языковая|ии)\b",
        r"(?:عذرا|عذرًا|عذراً|آسف|أعتذر)\b|لا (?:أستطيع|يمكنني)",
        r"很?抱歉|对不起|對不起|不好意思|我(?:无法|不能|無法|没有办法|看不到)|作为(?:一个|一名)?(?:人工智能|AI|语言模型)",
        r"无法(?:查看|观看|识别|提供|描述)|請?请?(?:提供|上传)|申し訳|すみません|ごめんなさい|残念ながら",
        r"죄송|유감입니다|저는 .{0,20}(?:없습니다|못합니다)|ขออภัย|ขอโทษ|ฉันไม่สามารถ|माफ़|माफ|क्षमा कर|मुझे खेद",
        r"xin lỗi|rất tiếc|tôi không thể|maaf\b|üzgünüm",
    )
)
_DISCLAIMER = regex.compile(
    r"(?i)\A(?:(?:however|please note|note|but|unfortunately)[,:]?\s+(?:that\s+)?)?"
    r"(?:(?:i|we)(?:['’]m| am| can| do| don| cannot|\s+apolog)|as an ai\b|sorry\b|我(?:无法|不能)|抱歉)"
)

_REASON_WHEN_NOTHING_LEFT = {"thinking": "caption_thinking", "json": "caption_not_prose", "echo": "caption_echo"}


def _line(text: str) -> str:
    """The text without line breaks and repeated spaces."""
    return " ".join(text.split())


def _has_letters(text: str) -> bool:
    return regex.search(r"[\p{L}\p{N}]", text) is not None


def _without_thinking(text: str) -> str:
    final = _FINAL.sub("", text)
    text = final if final != text else _THOUGHTS.sub(" ", text)
    text = _THOUGHT_END.sub("", text)
    inside = _ANSWER.match(text)
    return inside["inside"] if inside else text


def _without_special_tokens(text: str) -> str:
    """Cut at an end token: what models write after it is another turn of the conversation."""
    for piece in _END_TOKEN.split(text):
        if _has_letters(_ANY_TOKEN.sub(" ", piece)):
            text = piece
            break
    return _NEXT_TURN.sub("", _ROLE.sub("", _ANY_TOKEN.sub(" ", text)))


def _without_fence(text: str) -> str:
    inside = [match["inside"] for match in _FENCE.finditer(text) if _has_letters(match["inside"])]
    if not inside:
        return text.replace("```", "")
    outside = _FENCE.sub(" ", text)
    return inside[0] if len(_line(outside)) <= len(_line(inside[0])) else outside


def _without_json(text: str) -> str:
    """The only text field of a JSON object; "" for JSON without a caption; other texts are unchanged."""
    stripped = text.strip()
    if not stripped or stripped[0] not in "{[" or stripped[-1] not in "}]":
        return text
    try:
        value = json.loads(stripped)
    except (ValueError, RecursionError):
        return "" if regex.match(r'\{\s*"[^"]*"\s*:', stripped) else text
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, str):
        return value
    if not isinstance(value, dict):
        return ""
    texts = {str(name).lower(): one for name, one in value.items() if isinstance(one, str) and one.strip()}
    named = [texts[name] for name in _CAPTION_FIELDS if name in texts]
    return named[0] if named else next(iter(texts.values())) if len(texts) == 1 else ""


def _without_echo(text: str, prompt: str) -> str:
    line, asked = _line(text), _line(prompt)
    return line[len(asked) :] if asked and line.casefold().startswith(asked.casefold()) else text


def _without_markdown(text: str) -> str:
    for pattern, replacement in _MARKDOWN:
        text = pattern.sub(replacement, text)
    return text


def _without_wrapper(text: str) -> str:
    text = whole = text.strip()
    before = ""
    while before != text:
        before = text
        for pattern in (_INTERJECTION, _INTRODUCTION, _HEADING, _ROLE):
            text = pattern.sub("", text, count=1)
        text = _OFFER.sub("", text).strip()
        if (
            len(text) > 1
            and _QUOTES.get(text[0]) == text[-1]
            and text[0] not in text[1:-1]
            and text[-1] not in text[1:-1]
        ):
            text = text[1:-1].strip()
    return text if text == whole else text[:1].upper() + text[1:]


def _find_fault(text: str, prompt: str) -> str:
    """Why a cleaned answer is not a caption; "" if it is one."""
    words = regex.findall(r"[\p{L}\p{N}]+", text.casefold())
    if not words or " ".join(words) in NO_TEXT:
        return "caption_empty"
    if _REFUSAL.match(text):
        return "caption_refused"
    if prompt and _is_echo(words, prompt):
        return "caption_echo"
    return "caption_looped" if _is_loop(text, words) else ""


def _is_echo(words: list[str], prompt: str) -> bool:
    asked = _runs(regex.findall(r"[\p{L}\p{N}]+", prompt.casefold()))
    seen = _runs(words)
    return bool(seen) and sum(run in asked for run in seen) >= ECHO_FRAC * len(seen)


def _runs(words: list[str]) -> list[tuple[str, ...]]:
    return [tuple(words[at : at + ECHO_WORDS]) for at in range(len(words) - ECHO_WORDS + 1)]


def _is_loop(text: str, words: list[str]) -> bool:
    parts = [_line(piece).casefold() for piece in sentences(text)]
    most = Counter(parts).most_common(1)[0][1] if parts else 0
    if most >= LOOP_REPEATS and 2 * most >= len(parts):
        return True
    head = words[:LOOP_WORDS]  # in a longer text, words repeat anyway
    if len(head) >= 12 and len(set(head)) <= 0.2 * len(head):
        return True
    content = text.encode()
    return len(content) >= LOOP_BYTES and len(zlib.compress(content, 9)) < LOOP_ZLIB_RATIO * len(content)
