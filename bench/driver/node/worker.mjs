// What piscina's threads run.

export function echo(data) {
	return data;
}

export function sieve(n) {
	const composite = new Uint8Array(n);
	let count = 0;
	for (let i = 2; i < n; i++) {
		if (composite[i]) continue;
		count++;
		for (let k = i + i; k < n; k += i) composite[k] = 1;
	}
	return count;
}

export function repeated({ n, repeats }) {
	let sum = 0;
	for (let i = 0; i < repeats; i++) sum += sieve(n - (sum & 1));
	return sum;
}

// Says in shared memory that it has begun.
export function spin(begun) {
	Atomics.store(begun, 0, 1);
	Atomics.notify(begun, 0);
	for (;;);
}

export function crash(begun) {
	Atomics.store(begun, 0, 1);
	Atomics.notify(begun, 0);
	process.exit(1); // of the thread: it is what comes nearest to a process's death
}
