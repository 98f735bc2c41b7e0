/** The numbers of a service's metrics page, by name and labels as they are written there. */
export class Metrics {
  readonly #url: string;

  constructor(address: string) {
    this.#url = `http://${address}/metrics`;
  }

  /** The sum of all series of this name whose labels hold the text. */
  async sum(name: string, label = ''): Promise<number> {
    const page = await (await fetch(this.#url)).text();
    let sum = 0;
    for (const line of page.split('\n')) {
      if (!line.startsWith(name) || !/^[{ ]/.test(line.slice(name.length)) || !line.includes(label)) continue;
      sum += Number(line.slice(line.lastIndexOf(' ') + 1));
    }
    return sum;
  }
}
