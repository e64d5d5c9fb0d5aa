/**
 * How much memory of each GPU a job needs at the least, from the parameters that its manifest
 * declares: for weights, gradients and the states of the optimizer. Activations, buffers and the
 * CUDA context come on top and are not known here; they grow with batch and sequence length.
 *
 * The rule is that of the ZeRO paper (Rajbhandari et al., 2020, section 3.1): mixed-precision Adam
 * takes 16 bytes a parameter, 2 for the weight, 2 for its gradient, and 4 each for the master copy
 * of the weight and the two moments. In 32 bits it is 4 + 4 + 8, so 16 as well.
 *
 * @example
 * estimateGb({ model: { parameters: "7B" }, training: { bf16: true } }, resources); // 112
 *
 * @module
 */
import type { Resources } from "./job.ts";
import { type Content, isContent } from "./sections.ts";

/**
 * Memory that each GPU needs in GB (10⁹ bytes), or undefined when `model.parameters` is not
 * declared, or when parts are offloaded, so that nobody can say what stays. Read are:
 * - `model.parameters`: `7e9`, `7B`, `350M`
 * - `training.bf16` or `fp16`, `model.precision`, `model.torch_dtype`
 * - `optimizer.name` or `training.optim`; AdamW unless said
 * - `lora` with `r`; `quantization.load_in_4bit`, `load_in_8bit` or `bits`
 * - `training.fsdp` and `training.deepspeed` with a stage: what is not said to be divided is held
 *   by each GPU whole
 */
export function estimateGb(
  config: Readonly<Record<string, unknown>>,
  resources: Resources,
): number | undefined {
  const parameters = countOf(section(config, "model").parameters);
  if (parameters === undefined) return undefined;
  const sharding = shardingOf(config);
  if (sharding === "unknown") return undefined;
  const perParameter = bytesOf(config);
  const gpus = resources.gpusPerNode * (sharding.withinNode ? 1 : resources.nodes);
  const over = (stage: number) => sharding.stage >= stage ? gpus : 1;
  const bytes = parameters * (
    perParameter.weights / over(3) + perParameter.gradients / over(2) +
    perParameter.states / over(1)
  );
  return Math.round(bytes / 1e8) / 10;
}

/** Bytes for each parameter of the model. */
interface Bytes {
  readonly weights: number;
  readonly gradients: number;
  /** Of the optimizer, the master copy of the weights included. */
  readonly states: number;
}

/**
 * Part of the parameters that LoRA trains, for each unit of its rank: adapters with r = 16 on all
 * linear layers of a 7B model have 40 million parameters, 0.6 %. Larger models have less, and
 * adapters on fewer layers too; either way it is little beside the weights.
 */
const LORA_SHARE = 0.0004;
/** The rank of PEFT's `LoraConfig` where none is said. */
const LORA_RANK = 8;

function bytesOf(config: Content): Bytes {
  const { weights, master } = precisionOf(config);
  const lora = loraShare(config);
  const quantized = quantizedBytes(section(config, "quantization"));
  if (lora === undefined && quantized === undefined) {
    const states = stateBytes(config);
    // Without a master copy PyTorch keeps the states as wide as the weights; 8 bits stay 8 bits.
    const isHalf = weights === 2 && master === 0 && states >= 4;
    return { weights, gradients: weights, states: master + (isHalf ? states / 2 : states) };
  }
  // Quantized weights cannot be trained; adapters are, in 32 bits.
  const trained = lora ?? 0;
  return {
    weights: (quantized ?? weights) + 4 * trained,
    gradients: 4 * trained,
    states: stateBytes(config) * trained,
  };
}

/** Bytes of a weight as the GPU computes with it, and of its 32-bit master copy, if there is one. */
function precisionOf(config: Content): { readonly weights: 2 | 4; readonly master: 0 | 4 } {
  const [model, training] = [section(config, "model"), section(config, "training")];
  const said = [model.precision, model.torch_dtype, model.dtype].map(word);
  // A bare 16 is Lightning's word for mixed precision.
  const isMixed = training.bf16 === true || training.fp16 === true || model.precision === 16 ||
    said.some((name) => name === "16" || name.includes("mixed"));
  if (isMixed) return { weights: 2, master: 4 };
  const isHalf = said.some((name) => /bf16|bfloat16|fp16|float16|half|^16-true/.test(name));
  return { weights: isHalf ? 2 : 4, master: 0 };
}

/** Optimizers by what their names hold, and bytes of state a parameter (in 32 bits); first wins. */
const OPTIMIZERS: readonly (readonly [RegExp, number])[] = [
  [/lion.*8bit|sgd.*8bit|momentum.*8bit/, 1],
  [/8bit/, 2], // two moments of one byte (Dettmers et al., 2022)
  [/adafactor/, 1], // rows and columns only (Shazeer and Stern, 2018), and room for an update
  [/lion|muon|momentum|adagrad|rmsprop/, 4],
  [/sgd/, 0], // 4 with momentum, see below
];
/** AdamW and its relatives: two moments. */
const ADAM_BYTES = 8;

function stateBytes(config: Content): number {
  const { name: named, momentum } = section(config, "optimizer");
  const name = word(named ?? section(config, "training").optim).replace(/[-_]?8[-_]?bits?/, "8bit");
  const bytes = OPTIMIZERS.find(([pattern]) => pattern.test(name))?.[1] ?? ADAM_BYTES;
  return bytes === 0 && typeof momentum === "number" && momentum > 0 ? 4 : bytes;
}

/** Part of the parameters that is trained; undefined: all of them, there is no LoRA. */
function loraShare(config: Content): number | undefined {
  const lora = section(config, "lora");
  if (Object.keys(lora).length === 0 || lora.enabled === false) return undefined;
  const rank = typeof lora.r === "number" && lora.r > 0 ? lora.r : LORA_RANK;
  return Math.min(1, rank * LORA_SHARE);
}

/** Bytes of a quantized weight. */
function quantizedBytes({ load_in_4bit, load_in_8bit, bits }: Content): number | undefined {
  // One 32-bit scale for each block of 64 weights (Dettmers et al., 2023) is half a bit more.
  if (load_in_4bit === true || bits === 4) return 4.5 / 8;
  return load_in_8bit === true || bits === 8 ? 1 : undefined;
}

/** What is divided among GPUs: stage 1 the states, 2 the gradients too, 3 the weights too. */
interface Sharding {
  readonly stage: 0 | 1 | 2 | 3;
  /** Among the GPUs of a node only; each node holds all of it. */
  readonly withinNode: boolean;
}

function shardingOf(config: Content): Sharding | "unknown" {
  const training = section(config, "training");
  const { fsdp, deepspeed } = training;
  const words = Array.isArray(fsdp) ? fsdp.map(word).join(" ") : word(fsdp);
  if (words.includes("offload")) return "unknown";
  const withinNode = words.includes("hybrid");
  if (fsdp === true || words.includes("full_shard") || words.includes("hybrid_shard")) {
    return { stage: 3, withinNode };
  }
  if (words.includes("grad_op") || words.includes("zero2")) return { stage: 2, withinNode };
  const zero = isContent(deepspeed) ? deepspeed.zero_optimization ?? deepspeed : {};
  if (!isContent(zero)) return { stage: 0, withinNode };
  const isOffloaded = [zero.offload_optimizer, zero.offload_param].some((part) =>
    isContent(part) && word(part.device) !== "none"
  );
  if (isOffloaded) return "unknown";
  const { stage } = zero;
  return { stage: stage === 1 || stage === 2 || stage === 3 ? stage : 0, withinNode };
}

const UNITS: Readonly<Record<string, number>> = { "": 1, k: 1e3, m: 1e6, b: 1e9, t: 1e12 };

/** A number of parameters: `7e9`, `7B`, `1.5 b`, `350M`. */
function countOf(value: unknown): number | undefined {
  const text = typeof value === "number" ? String(value) : word(value).replace(/[_,\s]/g, "");
  const match = /^(\d+(?:\.\d+)?(?:e\+?\d{1,2})?)([kmbt]?)$/.exec(text);
  const count = Number(match?.[1]) * (UNITS[match?.[2] ?? ""] ?? NaN);
  return count > 0 && count < 1e16 ? count : undefined;
}

function section(config: Content, name: string): Content {
  const found = Object.hasOwn(config, name) ? config[name] : undefined;
  return isContent(found) ? found : {};
}

/** A text in lower case; "" for what is none. */
function word(value: unknown): string {
  return typeof value === "string" ? value.toLowerCase().trim() : "";
}
