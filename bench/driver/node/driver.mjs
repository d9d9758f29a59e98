// The driver of the benchmark for piscina, a pool of threads: bench/driver.go has the
// other end. It reads requests, one JSON object a line, and answers each with a line.
// With -cold it starts, makes one call, says ok and ends.
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { Piscina } from 'piscina';
import { repeated } from './worker.mjs';

const file = (name) => new URL(name, import.meta.url);
const WINDOW = 64; // calls in flight for each worker, where a row wants as many as go in
const seconds = () => performance.now() / 1e3;

function newPool(workers) {
	return new Piscina({ filename: file('worker.mjs').href, minThreads: workers, maxThreads: workers, idleTimeout: 2 ** 30 });
}

function check(output, want) {
	if (Buffer.compare(output, want) !== 0) throw new Error(`an output of ${output.length} bytes is not what it has to be`);
}

class Cell {
	constructor(job) {
		this.job = job;
		this.workers = job.Workers;
		// Uint8Array: what structured clone makes of a Buffer.
		this.input = new Uint8Array(randomBytes(job.Size));
		this.pool = newPool(this.workers);
	}

	async close() {
		await this.pool.destroy();
		if (this.one) await this.one.destroy();
	}

	call(name, data, options = {}) {
		return this.pool.run(data, { name, ...options });
	}

	async steps(box, calls, step) {
		const each = [];
		for (const began = seconds(); each.length === 0 || (each.length < calls && seconds() - began < box); ) {
			each.push((await step()) * 1e9);
		}
		return { Each: each, Calls: each.length };
	}

	echo(box, calls) {
		return this.steps(box, calls, async () => {
			const t = seconds();
			const output = await this.call('echo', this.input);
			const took = seconds() - t;
			check(output, this.input);
			return took;
		});
	}

	async submit(box, calls) {
		let n = 0;
		const began = seconds();
		const lane = async () => {
			while (n === 0 || (n < calls && seconds() - began < box)) {
				n++;
				check(await this.call('echo', this.input), this.input);
			}
		};
		await Promise.all(Array.from({ length: WINDOW * this.workers }, lane));
		return { Each: [n / (seconds() - began)], Calls: n };
	}

	async 'speed-up'(box) {
		const { N: n, Repeats: repeats } = this.job.Task;
		const want = repeated({ n, repeats });
		this.one ??= newPool(1);
		let t = seconds();
		await this.one.run({ n, repeats }, { name: 'repeated' });
		const tasks = Math.max(4, Math.floor(box / 2 / (seconds() - t)) & ~1);
		const took = [];
		for (const pool of [this.one, this.pool]) {
			t = seconds();
			const sums = await Promise.all(Array.from({ length: tasks }, () => pool.run({ n, repeats }, { name: 'repeated' })));
			if (sums.some((sum) => sum !== want)) throw new Error('a sieve went wrong');
			took.push(seconds() - t);
		}
		return { Each: [took[0] / took[1]], Calls: 2 * tasks };
	}

	// A thread that exits is what comes nearest to a process's death.
	crash(box, calls) {
		return this.steps(box, calls, async () => {
			const { begun, call } = this.doomed('crash');
			await Atomics.waitAsync(begun, 0, 0).value;
			return this.recovered(call, seconds());
		});
	}

	deadline(box, calls) {
		return this.steps(box, calls, () => {
			const limit = this.job.Limit / 1e9;
			const due = seconds() + limit;
			const { call } = this.doomed('spin', { signal: AbortSignal.timeout(limit * 1e3) });
			return this.recovered(call, due);
		});
	}

	// doomed makes a call that says when it has begun and does not end well.
	doomed(name, options) {
		const begun = new Int32Array(new SharedArrayBuffer(4));
		return { begun, call: this.call(name, begun, options) };
	}

	async recovered(doomed, due) {
		let ended;
		await doomed.catch((e) => (ended = e));
		if (!ended) throw new Error('the call that never ends has ended well');
		const output = await this.call('echo', this.input);
		const took = seconds() - due;
		check(output, this.input);
		return took;
	}

	// Its workers are threads of this process: what each adds is what there is with all
	// less what there is with one.
	async idle() {
		this.one ??= newPool(1);
		await this.pool.destroy();
		await this.one.run(this.input, { name: 'echo' });
		const before = resident();
		this.pool = newPool(this.workers);
		await Promise.all(Array.from({ length: 64 * this.workers }, () => this.call('echo', this.input)));
		return { Each: [(resident() - before) / this.workers], Calls: 64 * this.workers };
	}
}

// resident is the proportional set size of this process, in bytes.
function resident() {
	return Number(/^Pss:\s+(\d+)/m.exec(readFileSync('/proc/self/smaps_rollup', 'utf8'))[1]) * 1024;
}

let cell = null;

async function answer(request) {
	switch (request.Op) {
		case 'hello': {
			const { version } = JSON.parse(readFileSync(file('node_modules/piscina/package.json'), 'utf8'));
			return { Version: { piscina: `${version}, node ${process.version}` } };
		}
		case 'open':
			cell = new Cell(request.Job);
			await Promise.all(Array.from({ length: 8 * cell.workers }, () => cell.call('echo', cell.input)));
			return {};
		case 'run':
			return cell[cell.job.Kind](request.Box.Time / 1e9, request.Box.Calls);
		case 'close':
			await cell?.close();
			cell = null;
			return {};
		default:
			throw new Error(`unknown operation ${request.Op}`);
	}
}

async function serve() {
	for await (const line of createInterface({ input: process.stdin })) {
		let reply;
		try {
			reply = await answer(JSON.parse(line));
		} catch (e) {
			reply = { Error: `${e.name}: ${e.message}` };
		}
		process.stdout.write(JSON.stringify(reply) + '\n');
	}
	await cell?.close();
}

async function cold() {
	const input = new Uint8Array(randomBytes(64));
	const pool = newPool(1);
	check(await pool.run(input, { name: 'echo' }), input);
	process.stdout.write('ok\n');
	await pool.destroy();
}

await (process.argv[2] === '-cold' ? cold() : serve());
