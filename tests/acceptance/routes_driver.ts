// Does what the test says on its standard input, a JSON object a line, and tells what became of it.
import { createInterface } from "node:readline";
import { Routes, RoutesError, type Permit } from "./routes";

interface Order {
  id: number;
  call: "reads" | "write" | "begin" | "left" | "forget" | "close";
  entities: string[];
  options: Record<string, never>;
}

const [source = "", host = "", port = "", database = "", user = "", options = "{}"] = process.argv.slice(2);
const routes = new Routes(source, () => ({ host, port: Number(port), database, user }), JSON.parse(options));
const open = new Map<number, Permit>();

async function done(order: Order): Promise<unknown> {
  const [entity = ""] = order.entities;
  if (order.call === "reads") return routes.reads(entity, order.options);
  if (order.call === "left") return [...open.values()].map((permit) => permit.msLeft());
  if (order.call === "forget") return routes.forget();
  if (order.call === "close") return routes.close();
  return routes.write(
    order.entities,
    async (permit) => {
      if (order.call === "begin") open.set(order.id, permit);
      return { store: permit.store, left: Math.min(permit.msLeft(), 1e9), aborted: permit.signal?.aborted ?? null };
    },
    order.options,
  );
}

createInterface({ input: process.stdin }).on("line", (line) => {
  const order = JSON.parse(line) as Order;
  done(order).then(
    (given) => console.log(JSON.stringify({ id: order.id, given: given ?? null })),
    (error: unknown) => {
      const name = error instanceof Error ? error.constructor.name : "unknown";
      console.log(JSON.stringify({ id: order.id, error: name, isOurs: error instanceof RoutesError }));
    },
  );
});
