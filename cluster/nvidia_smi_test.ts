import assert from "node:assert/strict";
import { parseApps, parseGpus } from "./nvidia_smi.ts";

const RTX =
  "GPU-5f1c8f0e-6c1b-0c3a-9d52-3b7e9a0f6d11, 0, NVIDIA GeForce RTX 4070, 12282, 512, 3, 41, 12.31, [N/A]";
const H100 =
  "GPU-0a9f2d8c-11f3-7e55-b0d4-6c2f3d1e8a90, 1, NVIDIA H100 80GB HBM3, 81559, 0, 0, 28, 69.87, 0";

function gpus(csv: string) {
  const parsed = parseGpus(csv);
  assert.equal(parsed.kind, "rows");
  return parsed.kind === "rows" ? parsed.rows : [];
}

Deno.test("GPUs are read by position and sorted by index", () => {
  const rows = gpus(`${H100}\n${RTX}\n`);
  assert.deepEqual(rows.map((row) => row.index), [0, 1]);
  assert.deepEqual(rows[0], {
    uuid: "GPU-5f1c8f0e-6c1b-0c3a-9d52-3b7e9a0f6d11",
    index: 0,
    model: "NVIDIA GeForce RTX 4070",
    memoryTotalMiB: 12282,
    memoryUsedMiB: 512,
    utilisationPct: 3,
    temperatureC: 41,
    powerW: 12.31,
    eccUncorrected: null,
  });
  assert.equal(rows[1]?.eccUncorrected, 0);
});

for (
  const word of [
    "[N/A]",
    "[Not Supported]",
    "[Not Found]",
    "N/A",
    "[Unknown Error]",
    "[GPU requires reset]",
    "[Insufficient Permissions]",
    "ERR!",
  ]
) {
  Deno.test(`${word} is no number, and not zero`, () => {
    const [row] = gpus(`GPU-1, 0, NVIDIA A2, 15356, ${word}, ${word}, 40, ${word}, ${word}`);
    assert.deepEqual(
      [row?.memoryUsedMiB, row?.utilisationPct, row?.powerW, row?.eccUncorrected],
      [null, null, null, null],
    );
    assert.equal(row?.memoryTotalMiB, 15356);
  });
}

Deno.test("units that an old driver adds are read over", () => {
  const [row] = gpus("GPU-1, 0, Tesla K80, 11441 MiB, 0 MiB, 0 %, 30, 26.11 W, 0");
  assert.deepEqual([row?.memoryTotalMiB, row?.utilisationPct, row?.powerW], [11441, 0, 26.11]);
});

for (
  const [what, csv] of [
    ["nothing at all", "\n"],
    ["no devices", "No devices were found\n"],
    [
      "a lost GPU",
      `${RTX}\nUnable to determine the device handle for GPU 0000:0A:00.0: GPU is lost.  Reboot the system to recover this GPU\n`,
    ],
    ["an error for a uuid", RTX.replace(/^[^,]+/, "[Unknown Error]")],
    ["a mismatched driver", "Failed to initialize NVML: Driver/library version mismatch\n"],
    ["a short line", "GPU-1, 0, NVIDIA A2, 15356"],
    ["a word for a number", RTX.replace("12282", "plenty")],
    ["one GPU twice", `${RTX}\n${RTX}`],
    ["an index that is unknown", RTX.replace(", 0,", ", [N/A],")],
  ] as const
) {
  Deno.test(`GPUs: ${what} is a problem, never "no GPUs"`, () => {
    assert.equal(parseGpus(csv).kind, "problem");
  });
}

Deno.test("processes are read, commas in their names too", () => {
  const parsed = parseApps([
    "GPU-5f1c, 4711, /usr/bin/python3, 8123",
    "GPU-5f1c, 4712, python train.py --lr=1e-4,2e-4, [N/A]",
    "GPU-0a9f, 4713, [Not Found], 300",
    "",
  ].join("\n"));
  assert.deepEqual(parsed, {
    kind: "rows",
    rows: [
      { uuid: "GPU-5f1c", pid: 4711, name: "/usr/bin/python3", usedMiB: 8123 },
      { uuid: "GPU-5f1c", pid: 4712, name: "python train.py --lr=1e-4,2e-4", usedMiB: null },
      { uuid: "GPU-0a9f", pid: 4713, name: "[Not Found]", usedMiB: 300 },
    ],
  });
});

Deno.test("no line is no process", () => {
  assert.deepEqual(parseApps("\n"), { kind: "rows", rows: [] });
});

Deno.test("a process line that cannot be read is a problem", () => {
  for (
    const csv of ["GPU-1, [N/A], x, 3", "rubbish", "[Unknown Error], 1, x, 3", "GPU-1, 1, x, y"]
  ) {
    assert.equal(parseApps(csv).kind, "problem", csv);
  }
});

Deno.test("amounts that cannot be are a problem", () => {
  const row = (index: string, memory: string) => `GPU-1, ${index}, X, 1, ${memory}, 1, 1, 1, 1`;
  assert.equal(parseGpus(row("0", "1")).kind, "rows");
  for (const memory of ["-99999", "9".repeat(400)]) {
    assert.equal(parseGpus(row("0", memory)).kind, "problem", memory);
  }
  for (const index of ["-1", "0.5", "99999999999"]) {
    assert.equal(parseGpus(row(index, "1")).kind, "problem", index);
  }
  assert.equal(parseApps("GPU-1, 5, x, -3").kind, "problem");
});

Deno.test("a list without an end is a problem", () => {
  const gpus = Array.from({ length: 300 }, (_, i) => `GPU-${i}, ${i}, X, 1, 1, 1, 1, 1, 1`);
  assert.match(JSON.stringify(parseGpus(gpus.join("\n"))), /300 lines of GPUs; at most 256/);
  assert.match(JSON.stringify(parseApps("GPU-1, 5, x, 3\n".repeat(10_001))), /at most 10000/);
});
