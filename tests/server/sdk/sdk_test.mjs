// Unchanged JavaScript clients against a running server: openai, ollama, @anthropic-ai/sdk.
// Usage: node sdk_test.mjs URL MODEL, in a folder whose node_modules has them.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const [url, model] = process.argv.slice(2);
const require = createRequire(process.cwd() + '/');
const load = async (name) => import(pathToFileURL(require.resolve(name)).href);
const pick = (module, name) => module[name] ?? module.default?.[name] ?? module.default;

const OpenAI = pick(await load('openai'), 'OpenAI');
const { Ollama } = await load('ollama');
const Anthropic = pick(await load('@anthropic-ai/sdk'), 'Anthropic');

const messages = [{ role: 'user', content: 'What is 2 + 2?' }];
const schema = {
  type: 'object', properties: { answer: { type: 'integer', minimum: 0, maximum: 99 } },
  required: ['answer'], additionalProperties: false,
};
const tool = { type: 'function', function: { name: 'look_up', parameters: schema } };

const openai = new OpenAI({ baseURL: url + '/v1', apiKey: 'none', maxRetries: 0 });
const whole = await openai.chat.completions.create({ model, messages, max_tokens: 60, temperature: 0, reasoning_effort: 'low' });
let answer = '';
let thinking = '';
const stream = await openai.chat.completions.create({ model, messages, max_tokens: 60, temperature: 0, reasoning_effort: 'low', stream: true });
for await (const chunk of stream) {
  answer += chunk.choices[0]?.delta.content ?? '';
  thinking += chunk.choices[0]?.delta.reasoning_content ?? '';
}
assert.equal(answer, whole.choices[0].message.content);
assert.equal(thinking, whole.choices[0].message.reasoning_content ?? '');

const called = await openai.chat.completions.create({ model, messages, tools: [tool], tool_choice: 'required', max_tokens: 300, reasoning_effort: 'none' });
const call = called.choices[0].message.tool_calls[0];
assert.equal(call.function.name, 'look_up');
assert.ok(Number.isInteger(JSON.parse(call.function.arguments).answer));

const formed = await openai.chat.completions.create({ model, messages, max_tokens: 300, reasoning_effort: 'none', response_format: { type: 'json_schema', json_schema: { name: 'a', schema } } });
assert.deepEqual(Object.keys(JSON.parse(formed.choices[0].message.content)), ['answer']);
await assert.rejects(openai.chat.completions.create({ model: 'nobody', messages }), OpenAI.NotFoundError);

const ollama = new Ollama({ host: url });
const local = await ollama.chat({ model, messages, options: { num_predict: 30, temperature: 0 } });
let content = '';
for await (const part of await ollama.chat({ model, messages, stream: true, options: { num_predict: 30, temperature: 0 } })) {
  content += part.message.content;
}
assert.equal(content, local.message.content);
assert.ok((await ollama.list()).models.some((entry) => entry.name === model));

const anthropic = new Anthropic({ baseURL: url, apiKey: 'none', maxRetries: 0 });
const fields = { model, max_tokens: 60, messages, temperature: 0, thinking: { type: 'enabled', budget_tokens: 20 } };
const message = await anthropic.messages.create(fields);
const final = await anthropic.messages.stream(fields).finalMessage();
assert.deepEqual(final.content, message.content);
assert.equal(message.content[0].type, 'thinking');

console.log('openai, ollama and anthropic: all as expected');
