// What the mock model says to which question; `script_for` picks by the last question's words.
import { PAYLOADS } from './payloads.mjs';

const PRIMES = {
  thought: `Okay, so the question is how many primes there are below 100. I could just list them, but let me think about whether there's a way to be sure of the count.

The sieve of Eratosthenes needs only the primes up to $\\sqrt{100} = 10$, that is 2, 3, 5 and 7. By inclusion–exclusion, the numbers up to 100 that none of them divides are

\\[ 100 - \\sum_i \\left\\lfloor \\frac{100}{p_i} \\right\\rfloor + \\sum_{i<j} \\left\\lfloor \\frac{100}{p_i p_j} \\right\\rfloor - \\cdots \\]

Let me compute: 50 + 33 + 20 + 14 = 117. Pairs: 16 + 10 + 7 + 6 + 4 + 2 = 45. Triples: 3 + 2 + 1 + 0 = 6. All four: 0.

So $100 - 117 + 45 - 6 = 22$. These include 1, which is not prime, and leave out 2, 3, 5, 7 themselves. So the count is $22 - 1 + 4 = 25$.

Wait, let me check by listing: 2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97. That's 25. Good.`,
  answer: `There are **25 primes below 100**.

By the sieve of Eratosthenes a number below 100 is prime exactly when none of 2, 3, 5 and 7 divides it, since $7^2 < 100 < 11^2$. Counting what is left by inclusion–exclusion:

$$\\pi(100) = 100 - 117 + 45 - 6 - 1 + 4 = 25$$

The same in Python:

\`\`\`python
def primes_below(n):
    # Cross out the multiples of each prime.
    sieve = bytearray([1]) * n
    sieve[:2] = b"\\0\\0"
    for p in range(2, int(n ** 0.5) + 1):
        if sieve[p]:
            sieve[p * p :: p] = bytes(len(range(p * p, n, p)))
    return [p for p in range(n) if sieve[p]]

print(len(primes_below(100)))
\`\`\`

| below | primes | share |
|---|---:|---:|
| 10 | 4 | 40 % |
| 100 | 25 | 25 % |
| 1,000 | 168 | 16.8 % |

So the answer is \\(\\boxed{25}\\).`,
};

export const SCRIPTS = {
  primes: PRIMES,
  short: { thought: 'A short thought about it.', answer: 'A short answer.' },
  slow: { ...PRIMES, token_ms: 25 },
  long: {
    thought: Array.from({ length: 600 }, (_, i) =>
      `Step ${i + 1}. Suppose $x_${i}$ is even; then $x_${i}^2$ is even too, and so on with **care** for each of the many cases that remain to be looked at here.`,
    ).join('\n\n'),
    answer: 'The long thought is over.', token_ms: 0,
  },
  longcode: {
    thought: 'Code.',
    answer: '```python\n' + 'print("a line of code that is rather long")\n'.repeat(4000) + '```\n\nThe end.',
    token_ms: 0, chars: 40,
  },
  javascript: {
    thought: 'JS.',
    answer: '```js\nconst rows = (files["sales.csv"] ?? "").trim().split("\\n");\nprint(`rows ${rows.length}`, 6 * 7);\n```',
  },
  python: { thought: 'Py.', answer: '```python\nimport sys, statistics\nprint(sys.version_info[0], statistics.mean([2, 4, 9]))\nopen("sales.csv").readline()\n```' },
  endless: { thought: 'Loop.', answer: '```js\nfor (;;) {}\n```' },
  flood: { thought: 'Flood.', answer: '```js\nfor (;;) console.log("x".repeat(1000))\n```' },
  clock: { thought: 'x', answer: 'x'.repeat(200), chars: 1, token_ms: 30, stamped: true },
  broken: { status: 503, message: 'the model is still loading' },
  length: { ...PRIMES, finish: 'length' },
  vote: {
    paths: [
      { thought: 'I list the odd ones: 3, 5, 7, 11, 13, … , 89, 97. Counting by tens: 3, 4, 2, 2, 3, 2, 2, 3, 2, 1. That is 24.', answer: 'Listing the odd ones up to 25 and on gives \\(\\boxed{24}\\).' },
      { thought: 'Only 2, 3, 5 and 7 have to be sieved out, since $11^2 > 100$. What is left of 2 to 100 after crossing out their multiples: 21 numbers, and the four themselves. That makes 25.', answer: 'By the sieve there are \\(\\boxed{25}\\) of them.' },
      { thought: 'Inclusion–exclusion over 2, 3, 5, 7: $100 - 117 + 45 - 6 = 22$. One of them is 1, and the four primes are missing, so $22 - 1 + 4$.', answer: 'By inclusion–exclusion, $22 - 1 + 4 = 25$, so \\(\\boxed{25}\\).' },
    ],
    vote: { answer: '25', share: 2 / 3, votes: 2, counted: 3, paths: 3, chosen: 1, minority: [{ answer: '24', share: 1 / 3, votes: 1 }] },
  },
  chinese: { thought: '先考虑 2、3、5、7 的倍数，再用容斥原理计算剩下的数。', answer: '100 以内共有 **25** 个质数，由容斥原理可得 $\\pi(100)=25$。' },
};

export function script_for(body) {
  const question = body.messages.filter((message) => message.role === 'user').at(-1).content;
  const payload = /payload:(\d+)/.exec(question);
  if (payload) return PAYLOADS[Number(payload[1])];
  const last = body.messages.at(-1);
  if (last.prefix) {
    return { thought: ' And so it goes on from the edited thought.', answer: 'Answer after the edit.' };
  }
  const name = /say:(\w+)/.exec(question)?.[1] ?? (body.n_paths > 1 ? 'vote' : 'primes');
  return SCRIPTS[name];
}
