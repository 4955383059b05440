package controllers

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/go-logr/logr"
	machinelearningv1 "github.com/seldonio/seldon-core/operator/apis/machinelearning.seldon.io/v1"
	"istio.io/client-go/pkg/apis/networking/v1alpha3"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

type recording struct {
	Refused          string                                      `json:"refused,omitempty"`
	VirtualServices  []*v1alpha3.VirtualService                  `json:"virtualServices,omitempty"`
	DestinationRules []*v1alpha3.DestinationRule                 `json:"destinationRules,omitempty"`
	Services         []*corev1.Service                           `json:"services,omitempty"`
	Deployments      []*appsv1.Deployment                        `json:"deployments,omitempty"`
	ServiceStatus    map[string]*machinelearningv1.ServiceStatus `json:"serviceStatus,omitempty"`
	Address          *machinelearningv1.SeldonAddressable        `json:"address,omitempty"`
}

// Writes made/NAME.yaml for every SeldonDeployment given/NAME.yaml of the folder RECORDED.
func TestRecord(t *testing.T) {
	t.Setenv(ENV_ISTIO_ENABLED, "true")
	inputs, err := filepath.Glob(filepath.Join(os.Getenv("RECORDED"), "given", "*.yaml"))
	if err != nil || len(inputs) == 0 {
		t.Fatal("RECORDED has no given/*.yaml: ", err)
	}
	for _, input := range inputs {
		text, err := os.ReadFile(input)
		if err != nil {
			t.Fatal(err)
		}
		instance := &machinelearningv1.SeldonDeployment{}
		if err := yaml.UnmarshalStrict(text, instance); err != nil {
			t.Fatal(input, err)
		}
		output, err := yaml.Marshal(made(instance))
		if err != nil {
			t.Fatal(input, err)
		}
		name := filepath.Join(os.Getenv("RECORDED"), "made", filepath.Base(input))
		if err := os.WriteFile(name, output, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// What a request to the API server and the round of the operator after it come to.
func made(instance *machinelearningv1.SeldonDeployment) recording {
	if err := instance.ValidateCreate(); err != nil {
		return recording{Refused: err.Error()}
	}
	instance.Default()
	securityContext, err := createSecurityContext(instance)
	if err != nil {
		return recording{Refused: err.Error()}
	}
	reconciler := &SeldonDeploymentReconciler{Log: logr.Discard()}
	c, err := reconciler.createComponents(context.TODO(), instance, securityContext, logr.Discard())
	if err != nil {
		return recording{Refused: err.Error()}
	}
	return recording{"", c.virtualServices, c.destinationRules, c.services, c.deployments, c.serviceDetails, c.addressable}
}
