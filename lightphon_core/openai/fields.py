"""The request fields that do not travel to the model as the client wrote them, and why.

Every other field does, known to us or not: OpenAI's parameters and those of the engines change every month. Names are
compared without regard to case, because engines written in Go (Ollama) read them so.
"""

from typing import Final

GATEWAY_SET: Final = frozenset({"model", "stream", "stream_options"})
"""Written by the gateway for each attempt."""

CONTENT: Final = frozenset({"messages", "prompt", "suffix", "input"})
"""What a model is to read. Each endpoint has its own; that of another one stays behind."""

OUTPUT_LIMITS: Final = frozenset({"max_tokens", "max_completion_tokens", "max_output_tokens"})
"""OpenAI's names for the output limit, integers from 1. All limits collapse into one `max_tokens`, the smallest."""

ENGINE_OUTPUT_LIMITS: Final = frozenset(
    {
        "n_predict",
        "num_predict",
        "max_new_tokens",
        "max_length",
        "max_gen_len",
        "max_generated_tokens",
        "max_tokens_to_sample",
        "max_answer_tokens",
    }
)
"""What engines call it; llama.cpp's `n_predict` beats `max_tokens`. Zero or less means no limit there."""

COST: Final = frozenset({"n_cmpl", "best_of", "use_beam_search", "min_tokens", "num_beams", "num_return_sequences"})
"""Multiply or force work behind the back of `n` and the output limit."""

LLAMA_SERVER: Final = frozenset(
    {
        # other people's slots and caches
        "id_slot",
        "slot_id",
        "cache_prompt",
        "n_cache_reuse",
        "n_keep",
        "n_discard",
        "conversation_id",
        "conversation_ids",
        # what the engine reports beside the answer, prompt included
        "timings_per_token",
        "return_tokens",
        "return_progress",
        "response_fields",
        "post_sampling_probs",
        "n_probs",
        "verbose",
        "__verbose",
        "sse_ping_interval",
        # its own clocks; the gateway has one
        "t_max_predict_ms",
        "t_max_prompt_ms",
        # what the chat template decides
        "chat_template",
        "chat_format",
        "chat_parser",
        "add_generation_prompt",
        "generation_prompt",
        "parse_tool_calls",
        "reasoning_in_content",
        "thinking_forced_open",
        "force_pure_content",
        "grammar_lazy",
        "grammar_triggers",
        "grammar_type",
        "preserved_tokens",
        "message_delimiters",
        "reasoning_control",
        "reasoning_budget_start_tag",
        "reasoning_budget_end_tag",
        "reasoning_budget_end_tags",
        "prefill_assistant",
        # other prompts than the one that was read
        "input_prefix",
        "input_suffix",
        "input_extra",
        "multimodal_data",
        "media_marker",
        "n_indent",
        # how the engine computes
        "lora",
        "backend_sampling",
        "n_prev",
        "embd_normalize",
    }
)
"""llama.cpp's server: fields that reach into the engine."""

OTHER_ENGINES: Final = frozenset(
    {
        # vLLM
        "prompt_logprobs",
        "prompt_embeds",
        "vllm_xargs",
        "kv_transfer_params",
        "cache_salt",
        "priority",
        "request_id",
        "logits_processors",
        "guided_decoding_backend",
        "mm_processor_kwargs",
        "media_io_kwargs",
        "truncate_prompt_tokens",
        "return_token_ids",
        "return_tokens_as_token_ids",
        "add_special_tokens",
        # SGLang
        "lora_path",
        "rid",
        "session_params",
        "custom_logit_processor",
        "custom_params",
        "return_hidden_states",
        "bootstrap_host",
        "bootstrap_port",
        "bootstrap_room",
        "data_parallel_rank",
        # Ollama and LM Studio
        "keep_alive",
        "options",
        "raw",
        "template",
        "num_ctx",
        "num_gpu",
        "num_thread",
        "ttl",
        "draft_model",
    }
)
"""The same for vLLM, SGLang, Ollama and LM Studio."""

PRIVATE: Final = frozenset(
    {
        "user",
        "metadata",
        "store",
        "service_tier",
        "safety_identifier",
        "prompt_cache_key",
        "prompt_cache_retention",
        "session_id",
    }
)
"""Say who asks, or ask for something to be kept. A node has no business with them."""

GATEWAY: Final = frozenset(
    {
        "route",
        "models",
        "provider",
        "providers",
        "transforms",
        "plugins",
        "preset",
        "fallbacks",
        "usage",
        "debug",
        "trace",
    }
)
"""Addressed to a gateway: ours, or those that clients are set up for."""

REMOVED: Final = (
    GATEWAY_SET | OUTPUT_LIMITS | ENGINE_OUTPUT_LIMITS | COST | LLAMA_SERVER | OTHER_ENGINES | PRIVATE | GATEWAY
)
"""All of the above."""

REMOVED_PREFIXES: Final = ("speculative.",)
"""Families of names, removed likewise."""


def is_removed(name: str, known: frozenset[str]) -> bool:
    """Whether a field stays behind.

    `known` are the fields that were checked under their exact names: one that differs from them only in case was not
    checked, so it is removed too. So is content that is not among them.
    """
    folded = name.casefold()
    if folded in CONTENT and folded not in known:
        return True
    return folded in REMOVED or folded.startswith(REMOVED_PREFIXES) or (folded != name and folded in known)
