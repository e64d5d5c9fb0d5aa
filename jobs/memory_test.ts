import assert from "node:assert/strict";
import type { Resources } from "./job.ts";
import { estimateGb } from "./memory.ts";

const ONE: Resources = { nodes: 1, gpusPerNode: 1, nodeSelector: {} };
const EIGHT: Resources = { ...ONE, gpusPerNode: 8 };
const SIXTEEN: Resources = { ...EIGHT, nodes: 2 };

type Config = Record<string, unknown>;
const MIXED: Config = { training: { bf16: true } };
const model = (parameters: unknown, more: Config = {}): Config => ({
  model: { parameters, ...more },
});

Deno.test("well-known figures", () => {
  const table: [string, Config, number][] = [
    ["7B, AdamW, mixed precision: 16 bytes a parameter", { ...model("7B"), ...MIXED }, 112],
    ["the same in 32 bits", model("7B"), 112],
    ["GPT-2 XL of 1.5B needs 24 GB (ZeRO paper)", { ...model("1.5B"), ...MIXED }, 24],
    ["7B, AdamW, all in bfloat16: 8 bytes", model("7B", { torch_dtype: "bfloat16" }), 56],
    ["BERT-base of 110M in 32 bits", model("110M"), 1.8],
    ["7B, 8-bit AdamW, mixed", {
      ...model("7B"),
      ...MIXED,
      optimizer: { name: "adamw_8bit" },
    }, 70],
    ["7B, Adafactor, mixed", { ...model("7B"), ...MIXED, optimizer: { name: "Adafactor" } }, 63],
    ["1B, SGD with momentum", {
      ...model("1B"),
      optimizer: { name: "sgd", momentum: 0.9 },
    }, 12],
    ["1B, SGD", { ...model("1B"), optimizer: { name: "sgd" } }, 8],
    ["1B, Lion", { ...model("1B"), optimizer: { name: "lion" } }, 12],
    ["7B LoRA in bfloat16: little more than its 14 GB of weights", {
      ...model("7B"),
      ...MIXED,
      lora: { r: 16 },
    }, 14.7],
    ["65B QLoRA fits a card of 48 GB (QLoRA paper)", {
      ...model("65B"),
      ...MIXED,
      lora: { r: 16 },
      quantization: { load_in_4bit: true },
      optimizer: { name: "paged_adamw_8bit" },
    }, 40.7],
    ["13B in 8 bits with LoRA", {
      ...model("13B"),
      lora: { r: 8 },
      quantization: { load_in_8bit: true },
    }, 13.7],
  ];
  for (const [name, config, expected] of table) {
    assert.equal(estimateGb(config, ONE), expected, name);
  }
});

Deno.test("7B QLoRA takes 4 to 6 GB", () => {
  const config = {
    ...model("7B"),
    ...MIXED,
    lora: { r: 16, alpha: 32, target_modules: ["q_proj", "v_proj"] },
    quantization: { load_in_4bit: true },
  };
  const gb = estimateGb(config, ONE) ?? 0;
  assert.ok(gb > 4 && gb < 6, `${gb}`);
});

Deno.test("each GPU holds all of it unless sharding is declared", () => {
  const base = { ...model("7.5B") };
  const on = (resources: Resources, training: Config) =>
    estimateGb({ ...base, training: { bf16: true, ...training } }, resources);
  const zero = (stage: number) => ({ deepspeed: { zero_optimization: { stage } } });
  const sixtyFour = { ...EIGHT, nodes: 8 };
  // The figures of the ZeRO paper: 7.5B parameters on 64 GPUs.
  assert.equal(on(sixtyFour, {}), 120);
  assert.equal(on(sixtyFour, zero(1)), 31.4);
  assert.equal(on(sixtyFour, zero(2)), 16.6);
  assert.equal(on(sixtyFour, zero(3)), 1.9);
  assert.equal(on(EIGHT, { deepspeed: { stage: 3 } }), 15);
  assert.equal(on(EIGHT, { deepspeed: "ds_config.json" }), 120); // what the file says is not known
});

Deno.test("FSDP as transformers writes it", () => {
  const on = (resources: Resources, fsdp: unknown) =>
    estimateGb({ ...model("8B"), training: { bf16: true, fsdp } }, resources);
  assert.equal(on(SIXTEEN, "full_shard auto_wrap"), 8);
  assert.equal(on(SIXTEEN, ["full_shard", "auto_wrap"]), 8);
  assert.equal(on(SIXTEEN, true), 8);
  assert.equal(on(SIXTEEN, "hybrid_shard"), 16);
  assert.equal(on(SIXTEEN, "shard_grad_op"), 23); // 16 of weights, 7 of the rest
  for (const none of ["", false, undefined, "no_shard"]) assert.equal(on(SIXTEEN, none), 128);
});

Deno.test("nobody can say what stays on the GPU of what is offloaded", () => {
  const offloaded = { zero_optimization: { stage: 3, offload_optimizer: { device: "cpu" } } };
  const kept = { zero_optimization: { stage: 3, offload_optimizer: { device: "none" } } };
  const on = (training: Config) => estimateGb({ ...model("7B"), training }, ONE);
  assert.equal(on({ deepspeed: offloaded }), undefined);
  assert.equal(on({ fsdp: "full_shard offload" }), undefined);
  assert.equal(on({ deepspeed: kept }), 112);
});

Deno.test("precision by its many names", () => {
  const of = (more: Config, training: Config = {}) =>
    estimateGb({ ...model("1B", more), training }, ONE);
  for (const precision of ["bf16", "BF16-true", "float16", "torch.bfloat16", "fp16", "16-true"]) {
    assert.equal(of({ precision }), 8, precision);
  }
  for (const precision of [16, "16", "16-mixed", 32, "float32"]) {
    assert.equal(of({ precision }), 16, `${precision}`);
  }
  const half = { ...model("7B", { torch_dtype: "bfloat16" }), optimizer: { name: "AdamW8bit" } };
  assert.equal(estimateGb(half, ONE), 42); // 2 + 2 + 2: eight bits are not halved
  // Mixed precision has a master copy, whatever the model is loaded as.
  assert.equal(of({ torch_dtype: "bfloat16" }, { bf16: true }), 16);
  assert.equal(of({ torch_dtype: "bfloat16", precision: "bf16-mixed" }), 16);
  assert.equal(of({ torch_dtype: "float32" }), 16);
  assert.equal(of({}, { fp16: false }), 16);
});

Deno.test("parameters as numbers and as text", () => {
  const cases: [unknown, number | undefined][] = [
    [7e9, 112],
    [7_000_000_000, 112],
    ["7B", 112],
    ["7 b", 112],
    ["7e9", 112],
    ["7,000,000,000", 112],
    ["7000M", 112],
    ["0.007T", 112],
    ["350M", 5.6],
    [1e21, undefined],
    [undefined, undefined],
    ["", undefined],
    ["about 7B", undefined],
    ["7BB", undefined],
    [-7e9, undefined],
    [0, undefined],
    [NaN, undefined],
    [{}, undefined],
  ];
  for (const [parameters, expected] of cases) {
    assert.equal(estimateGb(model(parameters), ONE), expected, JSON.stringify(parameters));
  }
});

Deno.test("sections of any shape do no harm", () => {
  const odd = [null, 1, "x", [], [1], true, { stage: {} }, { name: 4, r: "x" }];
  for (const value of odd) {
    for (const key of ["model", "training", "optimizer", "lora", "quantization"]) {
      const config = { ...model("1B"), [key]: value };
      const gb = estimateGb(config, ONE);
      assert.ok(gb === undefined || (Number.isFinite(gb) && gb > 0), `${key} ${value}`);
    }
  }
  assert.equal(estimateGb({}, ONE), undefined);
});

Deno.test("LoRA can be switched off, and its rank is one that PEFT takes when none is said", () => {
  assert.equal(estimateGb({ ...model("1B"), lora: { enabled: false, r: 16 } }, ONE), 16);
  assert.equal(
    estimateGb({ ...model("10B"), lora: { alpha: 32 } }, ONE),
    estimateGb({ ...model("10B"), lora: { r: 8 } }, ONE),
  );
});
